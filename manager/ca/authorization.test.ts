import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { createSecureContext } from 'node:tls';
import { ChannelCredentials } from '@grpc/grpc-js';
import * as proto from '../../proto/index.ts';
import { type AnyMethod, type Method, Role } from '../../proto/index.ts';
import { SwarmError } from '../../shared/errors.ts';
import { dial } from '../../shared/rpc/client.ts';
import type { Client, Handlers, ServiceDefinition } from '../../shared/rpc/rpc.ts';
import { RULES } from '../../shared/rpc/rules.ts';
import { anonymousSecurity, type ChannelSecurity } from '../../shared/tls/channel-security.ts';
import { setCertificateRole } from './ca.ts';
import { TestCluster } from './cluster.fixture.ts';

/** The generated service definitions, and every RPC in them. */
const SERVICES: readonly ServiceDefinition[] = Object.values(proto as object).filter(isService);
const METHODS: readonly AnyMethod[] = SERVICES.flatMap((service) => Object.values(service));

function isService(value: unknown): value is ServiceDefinition {
  const members = typeof value === 'object' && value !== null ? Object.values(value) : [];
  return members.length > 0 && members.every((member) => member?.requestStream !== undefined);
}

type Caller =
  | 'none'
  | 'worker'
  | 'manager'
  | 'removed'
  | 'other cluster'
  | 'demoted'
  | 'promoted'
  | 'another id';

/** What each caller gets from each kind of service; the truth that the rules are checked against. */
const EXPECTED: { readonly [kind: string]: { readonly [K in Caller]: string } } = {
  open: all('ok'),
  session: {
    ...all('ok'),
    none: 'UNAUTHENTICATED',
    'other cluster': 'UNAUTHENTICATED',
    'another id': 'FORBIDDEN',
  },
  node: {
    ...all('ok'),
    none: 'UNAUTHENTICATED',
    'other cluster': 'UNAUTHENTICATED',
    removed: 'REMOVED',
  },
  manager: {
    ...all('FORBIDDEN'),
    manager: 'ok',
    none: 'UNAUTHENTICATED',
    'other cluster': 'UNAUTHENTICATED',
    removed: 'REMOVED',
    'another id': 'ok',
  },
  joinRaft: {
    ...all('FORBIDDEN'),
    manager: 'ok',
    none: 'UNAUTHENTICATED',
    'other cluster': 'UNAUTHENTICATED',
    removed: 'REMOVED',
  },
  local: {
    ...all('FORBIDDEN'),
    none: 'UNAUTHENTICATED',
    'other cluster': 'UNAUTHENTICATED',
    removed: 'REMOVED',
  },
};

function all(outcome: string): { readonly [K in Caller]: string } {
  return {
    none: outcome,
    worker: outcome,
    manager: outcome,
    removed: outcome,
    'other cluster': outcome,
    demoted: outcome,
    promoted: outcome,
    'another id': outcome,
  };
}

function kindOf(path: string): string {
  if (path.startsWith('/swarm.v1.Ca/')) return 'open';
  if (path === '/swarm.v1.Dispatcher/Session') return 'session';
  if (path === '/swarm.v1.Raft/JoinRaft') return 'joinRaft';
  if (path.startsWith('/swarm.v1.Dispatcher/')) return 'node';
  // Whoever runs tasks needs their images; a digest says nothing to who does not know it.
  if (path === '/swarm.v1.Images/FetchBlob') return 'node';
  if (path.startsWith('/swarm.v1.Local/')) return 'local';
  return 'manager';
}

let cluster: TestCluster;
let other: TestCluster;
const callers = new Map<Caller, { readonly client: Client; readonly nodeId: string }>();

before(async () => {
  cluster = await TestCluster.start();
  other = await TestCluster.start();
  for (const service of SERVICES) {
    if (service !== (proto.CaService as ServiceDefinition))
      cluster.add(service, answering(service));
  }
  const { rootPem } = cluster.live.current;
  const manager = await cluster.join(Role.MANAGER);
  callers.set('none', {
    client: dial(cluster.address, { tls: anonymousSecurity(rootPem), ownConnection: true }),
    nodeId: manager.nodeId,
  });
  callers.set('manager', { client: cluster.client(manager.identity), nodeId: manager.nodeId });
  callers.set('another id', {
    client: cluster.client(manager.identity),
    nodeId: cluster.managerId,
  });
  await addNode('worker', Role.WORKER, undefined);
  await addNode('removed', Role.MANAGER, 'remove');
  await addNode('demoted', Role.MANAGER, Role.WORKER);
  await addNode('promoted', Role.WORKER, Role.MANAGER);
  const stranger = await other.join(Role.MANAGER);
  callers.set('other cluster', {
    client: dial(cluster.address, {
      tls: strangerSecurity(rootPem, stranger.identity),
      ownConnection: true,
    }),
    nodeId: stranger.nodeId,
  });
});

after(async () => {
  for (const { client } of callers.values()) client.close();
  await cluster.stop();
  await other.stop();
});

async function addNode(caller: Caller, role: Role, change: Role | 'remove' | undefined) {
  const { identity, nodeId } = await cluster.join(role);
  if (change === 'remove') {
    await cluster.store.update((draft) => draft.delete('certificate', nodeId), { writer: 'users' });
  } else if (change !== undefined) await setCertificateRole(cluster.store, nodeId, change);
  callers.set(caller, { client: cluster.client(identity), nodeId });
}

/** Trusts this cluster and shows another's certificate. */
function strangerSecurity(
  rootPem: string,
  identity: { certificatePem: string; keyPem: string },
): ChannelSecurity {
  const context = createSecureContext({
    ca: rootPem,
    cert: identity.certificatePem,
    key: identity.keyPem,
  });
  const credentials = ChannelCredentials.createFromSecureContext(context, {
    checkServerIdentity: () => undefined,
  });
  return {
    credentials: () => credentials,
    failure: () => undefined,
    onChange: () => () => undefined,
  };
}

/** Handlers that answer everything with nothing. */
function answering(definition: ServiceDefinition): Handlers<ServiceDefinition> {
  const handlers: { [name: string]: unknown } = {};
  for (const [name, method] of Object.entries(definition)) handlers[name] = answer(method);
  return handlers as Handlers<ServiceDefinition>;
}

function answer(method: AnyMethod): unknown {
  if (method.requestStream && method.responseStream) {
    return (stream: { onMessage(fn: () => void): void; end(): void }) =>
      stream.onMessage(() => stream.end());
  }
  if (!method.requestStream && method.responseStream) {
    return async function* () {
      yield method.response.create();
    };
  }
  return async (requests: AsyncIterable<unknown>) => {
    if (method.requestStream) for await (const _ of requests) break;
    return method.response.create();
  };
}

/** `ok` when the call reached its handler, else the code of the refusal. */
async function outcome(method: AnyMethod, client: Client, nodeId: string): Promise<string> {
  const init = method.path.endsWith('/Session') ? { hello: { nodeId } } : { nodeId };
  const request = method.request.create(init);
  try {
    await call(method, client, request);
    return 'ok';
  } catch (error) {
    assert.ok(SwarmError.is(error), `${method.path}: ${String(error)}`);
    // The CA is the real one: an empty request gets an answer of its own, past the interceptor.
    if (method.path.startsWith('/swarm.v1.Ca/')) return 'ok';
    return error.code;
  }
}

async function call(method: AnyMethod, client: Client, request: unknown): Promise<void> {
  if (method.requestStream && method.responseStream) {
    const stream = client.duplex(method as Method<unknown, unknown, true, true>);
    const closed = new Promise<SwarmError | undefined>((resolve) => stream.onClose(resolve));
    stream.onMessage(() => undefined);
    stream.send(request);
    const error = await closed;
    if (error !== undefined) throw error;
  } else if (method.requestStream) {
    const one = (async function* () {
      yield request;
    })();
    await client.clientStream(method as Method<unknown, unknown, true, false>, one);
  } else if (method.responseStream) {
    const items = client.serverStream(method as Method<unknown, unknown, false, true>, request);
    for await (const _ of items) break;
  } else await client.unary(method as Method<unknown, unknown, false, false>, request);
}

test('every generated RPC has a rule, and every rule an RPC', () => {
  assert.deepEqual(METHODS.map((method) => method.path).sort(), Object.keys(RULES).sort());
});

test('an RPC without a rule is refused', async () => {
  const method = { ...proto.LocalService.info, path: '/swarm.v1.Test/Unruled' };
  cluster.add({ unruled: method }, { unruled: async () => proto.InfoResponse.create() });
  const { client } = callers.get('manager')!;
  await assert.rejects(client.unary(method, {}), { code: 'FORBIDDEN' });
});

for (const method of METHODS) {
  test(`${method.path} answers those it is for and nobody else`, async () => {
    const expected = EXPECTED[kindOf(method.path)]!;
    const found: { [caller: string]: string } = {};
    for (const [caller, { client, nodeId }] of callers) {
      found[caller] = await outcome(method, client, nodeId);
    }
    assert.deepEqual(found, { ...expected });
  });
}

test('a server without this cluster certificate is not talked to', async () => {
  const { identity } = await other.join(Role.WORKER);
  const tls = cluster.client(identity);
  await assert.rejects(tls.unary(proto.CaService.getRoot, {}), (error: SwarmError) => {
    assert.equal(error.code, 'UNREACHABLE');
    assert.equal(error.details['reason'], 'tls');
    return true;
  });
});
