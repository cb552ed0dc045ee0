import { get } from 'node:http';
import {
  ControlService,
  CreateServiceRequest,
  EndpointSpec,
  ListRequest,
  PortConfig,
  ServiceSpec,
  type ServiceView,
} from '../../proto/index.ts';
import { delay } from '../../shared/clock.ts';
import { SwarmError } from '../../shared/errors.ts';
import type { Context } from '../context.ts';
import type { Io } from '../io.ts';
import type { Session } from '../session.ts';
import { Flags } from '../spec/flags.ts';
import { createSpec } from '../spec/service.ts';
import { updateService } from '../update-service.ts';
import { waitForService } from '../wait.ts';

const NAME = 'hello';
/** Says that `npm run up` made it: another service of that name is left alone. */
const LABEL = 'swarm.made-by';
const MADE_BY = 'npm-run-up';
/** How long the first answer may take once the service has converged. */
const ANSWER_MS = 20_000;

/** The user as whom a root daemon runs `hello`: who typed sudo, else root; '' where nobody is named. */
export function helloUser({ uid, env }: Pick<Io, 'uid' | 'env'>): string {
  if (uid !== 0) return '';
  const { SUDO_UID, SUDO_GID } = env;
  return SUDO_UID ? `${SUDO_UID}${SUDO_GID ? `:${SUDO_GID}` : ''}` : 'root';
}

function helloSpec(context: Context, port: number): ServiceSpec {
  const user = helloUser(context.io);
  const flags = new Flags({
    name: NAME,
    process: true,
    replicas: '3',
    label: [`${LABEL}=${MADE_BY}`],
    publish: [`${port}:80`],
    'ready-http': ':80/',
    'update-order': 'start-first',
    'stop-grace-period': '5s',
    ...(user === '' ? {} : { user }),
  });
  return createSpec(flags, ['hello'], {});
}

/**
 * Makes `hello`, or leaves it as its user changed it; only a port that was asked for is changed.
 * Resolves to the published port, undefined when it has none.
 */
export async function ensureHello(
  context: Context,
  session: Session,
  port: number,
  asked: boolean,
): Promise<number | undefined> {
  const found = await findHello(session);
  if (found === undefined) {
    const spec = helloSpec(context, port);
    const request = CreateServiceRequest.create({ spec });
    await converge(context, await session.write(ControlService.createService, request));
    return port;
  }
  const spec = found.service!.spec!;
  const published = publishedPort(spec);
  if (spec.labels[LABEL] !== MADE_BY) {
    context.io.err('There is a service hello of your own: it is left as it is.\n');
    return published;
  }
  if (asked && published !== undefined && published !== port) {
    const changed = await updateService(session, found.service!.id, (current) =>
      withPort(current, published, port),
    );
    await converge(context, changed);
    return port;
  }
  if (published === undefined || spec.replicas === 0)
    context.io.err('The service hello was changed by you: it is left as it is.\n');
  else await converge(context, found);
  return spec.replicas === 0 ? undefined : published;
}

async function findHello(session: Session): Promise<ServiceView | undefined> {
  const answer = await session.read(ControlService.listServices, ListRequest.create());
  return answer.services.find(
    ({ service }) => service?.spec?.name === NAME && service.removing !== true,
  );
}

function publishedPort(spec: ServiceSpec): number | undefined {
  return spec.endpoint?.ports[0]?.published || undefined;
}

function withPort(spec: ServiceSpec, from: number, to: number): ServiceSpec {
  const endpoint = spec.endpoint!;
  const ports = endpoint.ports.map((port) =>
    port.published === from ? PortConfig.with(port, { published: to }) : port,
  );
  return ServiceSpec.with(spec, { endpoint: EndpointSpec.with(endpoint, { ports }) });
}

async function converge(context: Context, view: ServiceView): Promise<void> {
  const { id, version, spec } = view.service!;
  const name = spec?.name ?? NAME;
  const what = { id, version, name, removal: false, settleMs: 0, told: [], quiet: false };
  const code = await waitForService(context, what);
  if (code !== 0) throw new SwarmError('NOT_CONVERGED', 'Interrupted: run it again to go on.');
}

/** Resolves to the first line of the answer. */
export async function waitForAnswer(context: Context, url: string): Promise<string> {
  const { clock } = context.io;
  const endMs = clock.monotonicMs() + ANSWER_MS;
  for (;;) {
    const answer = await fetchText(url);
    if (answer !== undefined) return answer.split('\n', 1)[0]!;
    if (clock.monotonicMs() > endMs) {
      throw new SwarmError('NOT_CONVERGED', `${url} does not answer.`, {
        command: './swarm why hello',
      });
    }
    await delay(clock, 50);
  }
}

function fetchText(url: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const request = get(url, { timeout: 2_000, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', () => resolve(undefined));
      response.on('end', () =>
        resolve(response.statusCode === 200 ? Buffer.concat(chunks).toString('utf8') : undefined),
      );
    });
    request.on('timeout', () => request.destroy());
    request.on('error', () => resolve(undefined));
  });
}
