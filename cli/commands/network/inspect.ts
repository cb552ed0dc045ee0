import {
  ControlService,
  DiagnoseNetworkRequest,
  GetNetworkRequest,
  GetNetworkResponse,
  type NetworkService,
  type NetworkView,
  NodeDiagnosis,
} from '../../../proto/index.ts';
import { messageOf } from '../../../shared/errors.ts';
import type { Verb } from '../../command.ts';
import type { Context } from '../../context.ts';
import { printable } from '../../output/printable.ts';
import { warn } from '../../output/warning.ts';
import type { Session } from '../../session.ts';
import { declareInspect, printInspect, warnStale } from '../shared-options.ts';
import { addressesText, statusText } from './ls.ts';

/** By id. */
type NodeNames = ReadonlyMap<string, string>;

/** Nodes are asked all at once. */
const ASK_MS = 30_000;

export const inspect: Verb = {
  declare(command) {
    declareInspect(command.argument('<NETWORK...>'))
      .option(
        '-v, --verbose',
        'Also services, virtual addresses, endpoints, and what each node has of them',
      )
      .option('--pretty', 'For people');
  },
  async run(context, words, flags) {
    flags.exclusive('pretty', 'format');
    const session = await context.connect();
    const objects: unknown[] = [];
    for (const ref of words) {
      const request = GetNetworkRequest.create({ ref, verbose: flags.is('verbose') });
      const answer = await session.read(ControlService.getNetwork, request);
      warnStale(context, answer.freshness);
      const isLocal = answer.network?.state === null;
      const nodes = flags.is('verbose') && !isLocal ? await asSeen(context, session, ref) : [];
      if (!flags.is('pretty')) {
        objects.push(flat(answer, flags.is('verbose'), nodes));
        continue;
      }
      const names = new Map(nodes.map(({ nodeId, nodeName }) => [nodeId, printable(nodeName)]));
      const own = nodes.map((node) => nodeText(node, names));
      context.io.out(pretty(answer, names) + own.join(''));
      warn(context, answer.network?.warnings ?? []);
    }
    if (!flags.is('pretty')) printInspect(context, objects, flags);
  },
};

/** What each node with a task on it has. Without a leader nobody can ask them: the rest is shown. */
async function asSeen(
  context: Context,
  session: Session,
  network: string,
): Promise<readonly NodeDiagnosis[]> {
  const request = DiagnoseNetworkRequest.create({ network, noProbes: true });
  try {
    return (await session.write(ControlService.diagnoseNetwork, request, ASK_MS)).nodes;
  } catch (error) {
    warn(context, [`the nodes could not be asked: ${messageOf(error)}`]);
    return [];
  }
}

function nodeText(
  { nodeName, error, current, stale, network }: NodeDiagnosis,
  names: NodeNames,
): string {
  const name = printable(nodeName);
  if (network === null) return `Node ${name}: no answer: ${printable(error)}\n`;
  const digest = Buffer.from(network.digest).toString('hex').slice(0, 12);
  const has = current ? 'current' : 'STALE';
  const own = stale.length > 0 ? `, other rows of ${printable(stale.join(', '))}` : '';
  const head = `Node ${name}: ${has}, index ${network.index}, digest ${digest}${own}\n`;
  const broken = network.problem || network.tunnelProblem;
  const problem = broken === '' ? '' : `  not built: ${printable(broken)}\n`;
  const rows =
    stale.length > 0 ? network.services.filter((row) => stale.includes(row.serviceName)) : [];
  const differ = rows.map((row) => `${serviceText(row, names).replace(/^/gm, '  ')}\n`);
  return head + problem + differ.join('');
}

/** The network's row with its state beside it, so that {{.Spec.Name}} is where other objects have it. */
function flat(
  answer: GetNetworkResponse,
  verbose: boolean,
  seen: readonly NodeDiagnosis[],
): unknown {
  const {
    network: view,
    services,
    peers,
  } = GetNetworkResponse.toJson(answer) as {
    network: { network: object; [key: string]: unknown };
    services: unknown;
    peers: unknown;
  };
  const { network, ...rest } = view;
  const nodes = seen.map((node) => NodeDiagnosis.toJson(node));
  return { ...network, ...rest, ...(verbose ? { services, peers, nodes } : {}) };
}

function pretty(answer: GetNetworkResponse, names: NodeNames): string {
  const view = answer.network!;
  const { network, state } = view;
  const spec = network?.spec;
  const lines: readonly (readonly [string, string])[] = [
    ['ID', network?.id ?? ''],
    ['Name', printable(spec?.name ?? '')],
    ['Driver', spec?.driver ?? ''],
    ['Status', state === null && view.predefined ? '' : statusText(view)],
    ['Subnets', subnetsText(view)],
    ['Addresses', state === null ? '' : addressesText(view)],
    ['MTU', state === null || state.mtu === 0 ? '' : String(state.mtu)],
    ['VXLAN id', state === null || state.vni === 0 ? '' : String(state.vni)],
    ['Options', optionsText(view)],
    ['Services', String(view.services)],
    ['Tasks', String(view.tasks)],
  ];
  const shown = lines.filter(([, value]) => value !== '');
  const head = shown.map(([name, value]) => `${`${name}:`.padEnd(12)}${value}`).join('\n');
  return `${[head, ...answer.services.map((row) => serviceText(row, names))].join('\n')}\n`;
}

function subnetsText({ state }: NetworkView): string {
  return (state?.subnets ?? []).map(({ cidr, gateway }) => `${cidr} via ${gateway}`).join(', ');
}

function optionsText({ network }: NetworkView): string {
  const spec = network?.spec;
  const words = [
    spec?.internal ? 'internal' : '',
    spec?.attachable ? 'attachable' : '',
    spec?.ipv6 ? 'ipv6' : '',
    spec?.encrypted ? 'encrypted' : '',
  ];
  return words.filter((word) => word !== '').join(', ');
}

function serviceText(row: NetworkService, names: NodeNames): string {
  const address = [row.address, row.address6].filter((text) => text !== '').join(' ');
  const title = `${printable(row.serviceName)}: ${address === '' ? 'no virtual address' : address}`;
  const endpoints = row.endpoints.map((endpoint) => {
    const state = endpoint.draining ? 'draining' : endpoint.ready ? 'ready' : 'not ready';
    const slot = endpoint.slot > 0 ? `.${endpoint.slot}` : '';
    const own = [endpoint.address, endpoint.address6].filter((text) => text !== '').join(' ');
    const task = endpoint.taskId.slice(0, 12);
    const node = names.get(endpoint.nodeId) ?? endpoint.nodeId.slice(0, 12);
    return `  ${printable(row.serviceName)}${slot} ${task} ${own} ${state} on ${node}`;
  });
  return [title, ...endpoints].join('\n');
}
