import {
  Empty,
  ListRegistriesResponse,
  type ListRequest,
  type Ref,
  RegistryLogin,
  type RegistryLoginRequest,
  RegistryView,
} from '../../proto/index.ts';
import { ImageError } from '../../shared/distribution/image-error.ts';
import { parseRegistryHost } from '../../shared/distribution/reference.ts';
import { SwarmError } from '../../shared/errors.ts';
import { LIMITS } from '../../shared/limits.ts';
import type { CallContext } from '../../shared/rpc/rpc.ts';
import type { ControlDeps } from './deps.ts';
import { check, checkText } from './field.ts';
import { compileFilters } from './filters.ts';
import type { FreshReads } from './freshness.ts';
import { write } from './writes.ts';

/** The cluster's logins of registries. A password that went in never comes out here again. */
export class Registries {
  readonly #deps: ControlDeps;
  readonly #reads: FreshReads;

  constructor(deps: ControlDeps, reads: FreshReads) {
    this.#deps = deps;
    this.#reads = reads;
  }

  async login(request: RegistryLoginRequest, context: CallContext): Promise<RegistryView> {
    const { username = '', password = '', host: asked = '' } = request.auth ?? {};
    const host = hostOf(asked);
    check(username !== '', 'username', 'it is empty', 'the name of the account');
    check(password !== '', 'password', 'it is empty', 'a password or an access token');
    checkText(username, 'username');
    const bytes = Buffer.byteLength(username) + Buffer.byteLength(password);
    const most = LIMITS.registryLoginBytesMax;
    check(bytes <= most, 'password', `${bytes} bytes`, `at most ${most} bytes with the name`);
    if (!request.noCheck) await this.#check(host, username, password);
    await write(this.#deps, context, (draft) => {
      const times = { updatedWallMs: draft.wallMs };
      draft.put(
        'registryLogin',
        RegistryLogin.create({ id: host, host, username, password, ...times }),
      );
      draft.emit({ kind: 'registry', action: 'login', id: host, name: host, message: username });
      return undefined;
    });
    return viewOf(this.#deps.store.view.table('registryLogin').get(host), host);
  }

  async logout(request: Ref, context: CallContext): Promise<Empty> {
    const host = hostOf(request.ref);
    await write(this.#deps, context, (draft) => {
      if (!draft.table('registryLogin').has(host))
        throw new SwarmError('NOT_FOUND', `the cluster has no login of ${host}`, {
          advice: 'List those that it has.',
          command: 'swarm registry ls',
        });
      draft.delete('registryLogin', host);
      draft.emit({ kind: 'registry', action: 'logout', id: host, name: host, message: '' });
      return undefined;
    });
    return Empty.create();
  }

  async list(request: ListRequest, context: CallContext): Promise<ListRegistriesResponse> {
    const passes = compileFilters(request.filters, {
      host: (row: RegistryLogin, value) => row.host.startsWith(value),
    });
    const freshness = await this.#reads.before(context.consistency);
    const rows = [...this.#deps.store.view.table('registryLogin').all()].filter(passes);
    rows.sort((a, b) => (a.host < b.host ? -1 : 1));
    const registries = rows.map((row) => viewOf(row, row.host));
    return ListRegistriesResponse.with(ListRegistriesResponse.create(), { registries, freshness });
  }

  async #check(host: string, username: string, password: string): Promise<void> {
    try {
      await this.#deps.registries.checkLogin(host, { username, password });
    } catch (error) {
      if (!(error instanceof ImageError)) throw error;
      if (error.code === 'IMAGE_AUTH')
        throw new SwarmError('UNAUTHENTICATED', error.message, {
          cause: error,
          advice: 'Check user and password; many registries want an access token instead.',
        });
      throw new SwarmError('NO_ANSWER', `${error.message}; nothing was kept`, {
        cause: error,
        advice: 'Try again, or keep it unchecked with --no-check.',
      });
    }
  }
}

function hostOf(text: string): string {
  const host = parseRegistryHost(text);
  check(host !== undefined, 'registry', `"${text.slice(0, 200)}" is no registry`, 'HOST[:PORT]');
  return host;
}

function viewOf(row: RegistryLogin | undefined, host: string): RegistryView {
  const { username = '', updatedWallMs = 0 } = row ?? {};
  return RegistryView.create({ host, username, updatedWallMs });
}
