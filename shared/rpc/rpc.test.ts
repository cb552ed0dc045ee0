import assert from 'node:assert/strict';
import { chmod, mkdtemp, rm, stat } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, test } from 'node:test';
import {
  AgentMessage,
  ControlService,
  DispatcherService,
  Empty,
  InfoResponse,
  LocalService,
  ManagerMessage,
  type Method,
  RaftService,
  ServiceProgress,
  SnapshotAck,
  SnapshotChunk,
  WatchServiceRequest,
} from '../../proto/index.ts';
import { SystemClock } from '../clock.ts';
import { SwarmError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import { type Log, silentLog } from '../log.ts';
import { anonymousSecurity } from '../tls/channel-security.ts';
import { dial } from './client.ts';
import type { CallContext, Client, Duplex, Handlers, ServiceDefinition } from './rpc.ts';
import type { Rule } from './rules.ts';
import { RpcServer } from './server.ts';

/** Client and server over a real unix socket. */

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'swarm-rpc-'));
  cleanups.push(() => rm(path, { recursive: true, force: true }));
  return path;
}

interface Served {
  readonly server: RpcServer;
  readonly client: Client;
  readonly path: string;
}

async function serve<S extends ServiceDefinition>(
  definition: S,
  handlers: Handlers<S>,
  log: Log = silentLog,
): Promise<Served> {
  const path = join(await folder(), 'swarm.sock');
  const authorizer = { nodeRole: () => undefined };
  const server = new RpcServer({ clock: new SystemClock(), log, authorizer });
  const open: Rule = { callers: ['anonymous'] };
  const rules = Object.values(definition).map((method) => [method.path, open] as const);
  server.addService(definition, handlers, Object.fromEntries(rules));
  await server.listenUnix(path);
  const client = dial(path, { ownConnection: true });
  cleanups.push(() => server.stop());
  cleanups.push(() => client.close());
  return { server, client, path };
}

const INFO = { info: LocalService.info };

test('a call goes there and back with what its caller said about it', async () => {
  let seen: CallContext | undefined;
  const { client } = await serve(INFO, {
    info: async (_, context) => {
      seen = context;
      return InfoResponse.create({ nodeName: 'né' });
    },
  });
  const options = { requestId: 'r1', consistency: 'stale', timeoutMs: 5_000 } as const;
  const answer = await client.unary(LocalService.info, Empty.create(), options);
  assert.equal(answer.nodeName, 'né');
  assert.deepEqual(seen?.peer, { kind: 'local' });
  assert.equal(seen?.requestId, 'r1');
  assert.equal(seen?.consistency, 'stale');
  assert.equal(seen?.forwarded, false);
  assert.ok(seen !== undefined && seen.timeoutMs > 4_000 && seen.timeoutMs <= 5_000);
});

test('an error arrives as it was thrown', async () => {
  const thrown = new SwarmError('PORT_TAKEN', 'Port 80 is taken (100 %): "é"\n\ud800.', {
    advice: 'Take another – or free it.',
    command: 'swarm service ls',
    details: { port: '80', who: 'é' },
  });
  const { client } = await serve(INFO, {
    info: async () => {
      throw thrown;
    },
  });
  await assert.rejects(client.unary(LocalService.info, {}), (error: SwarmError) => {
    assert.ok(SwarmError.is(error));
    assert.equal(error.code, 'PORT_TAKEN');
    assert.equal(error.message, 'Port 80 is taken (100 %): "é"\n\ufffd.');
    assert.equal(error.advice, thrown.advice);
    assert.equal(error.command, thrown.command);
    assert.deepEqual(error.details, thrown.details);
    return true;
  });
});

test('an exception is INTERNAL, its text stays in the log', async () => {
  const logged: object[] = [];
  const log = { ...silentLog, error: (fields: object) => logged.push(fields) };
  const handlers = {
    info: async () => {
      throw new Error('secret thing');
    },
  };
  const { client } = await serve(INFO, handlers, log);
  await assert.rejects(client.unary(LocalService.info, {}), (error: SwarmError) => {
    assert.equal(error.code, 'INTERNAL');
    assert.ok(!error.message.includes('secret'));
    return true;
  });
  assert.match(JSON.stringify(logged), /secret thing/);
});

test('the socket has its mode before it has its name, and goes with the server', async () => {
  const { server, path } = await serve(INFO, { info: async () => InfoResponse.create() });
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  await server.stop();
  await assert.rejects(stat(path), { code: 'ENOENT' });
});

test('a socket that is not there, and one that nobody serves, say so with the address', async () => {
  const path = join(await folder(), 'none.sock');
  const client = dial(path);
  cleanups.push(() => client.close());
  await assert.rejects(client.unary(LocalService.info, {}), (error: SwarmError) => {
    assert.equal(error.code, 'UNREACHABLE');
    assert.equal(error.details['reason'], 'no-socket');
    assert.ok(error.message.includes(path));
    return true;
  });
});

test('a socket without permission says so', { skip: process.getuid?.() === 0 }, async () => {
  const { path } = await serve(INFO, { info: async () => InfoResponse.create() });
  await chmod(path, 0);
  const client = dial(path, { ownConnection: true });
  cleanups.push(() => client.close());
  await assert.rejects(client.unary(LocalService.info, {}), (error: SwarmError) => {
    assert.equal(error.details['reason'], 'denied');
    return true;
  });
});

test('a refused connection is noticed at once and told as such', async () => {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
  const { port } = probe.address() as { port: number };
  await new Promise((resolve) => probe.close(resolve));
  const client = dial(`127.0.0.1:${port}`, { tls: anonymousSecurity('') });
  cleanups.push(() => client.close());
  const stream = client.duplex(DispatcherService.session);
  const error = await new Promise<SwarmError | undefined>((resolve) => stream.onClose(resolve));
  assert.equal(error?.code, 'UNREACHABLE');
  assert.equal(error?.details['reason'], 'refused');
  assert.equal(error?.details['reset'], 'true');
  assert.ok(error?.message.includes(`127.0.0.1:${port}`));
});

test('an address that takes the connection and says nothing could not be reached in time', async () => {
  const sockets = new Set<Socket>();
  const mute = createServer((socket) => sockets.add(socket));
  cleanups.push(() => {
    for (const socket of sockets) socket.destroy();
    mute.close();
  });
  await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve));
  const { port } = mute.address() as { port: number };
  const client = dial(`127.0.0.1:${port}`, { tls: anonymousSecurity('') });
  cleanups.push(() => client.close());
  const call = client.unary(LocalService.info, {}, { timeoutMs: 200 });
  await assert.rejects(call, (error: SwarmError) => {
    assert.equal(error.code, 'UNREACHABLE');
    assert.equal(error.details['reason'], 'timeout');
    return true;
  });
});

test('a call that gets no answer ends at its deadline, on both sides', async () => {
  let aborted: Promise<void> | undefined;
  const { client } = await serve(INFO, {
    info: (_, { signal }) => {
      aborted = new Promise((resolve) => signal.addEventListener('abort', () => resolve()));
      return new Promise(() => undefined);
    },
  });
  await assert.rejects(client.unary(LocalService.info, {}, { timeoutMs: 100 }), {
    code: 'DEADLINE',
  });
  await aborted;
});

test('a caller that gives up aborts the handler', async () => {
  const controller = new AbortController();
  let aborted: Promise<void> | undefined;
  const { client } = await serve(INFO, {
    info: (_, { signal }) => {
      aborted = new Promise((resolve) => signal.addEventListener('abort', () => resolve()));
      controller.abort();
      return new Promise(() => undefined);
    },
  });
  const call = client.unary(LocalService.info, {}, { signal: controller.signal });
  await assert.rejects(call, { code: 'MAYBE_DONE' });
  await aborted;
});

test('a connection that is cut under a call says that it may have been done', async () => {
  const { client, server } = await serve(INFO, {
    info: async () => {
      await server.stop();
      return new Promise(() => undefined);
    },
  });
  await assert.rejects(client.unary(LocalService.info, {}), (error: SwarmError) => {
    assert.equal(error.code, 'MAYBE_DONE');
    assert.equal(error.details['reset'], 'true');
    return true;
  });
});

test('a server comes back under the same client', async () => {
  const { client, server, path } = await serve(INFO, {
    info: async () => InfoResponse.create({ pid: 1 }),
  });
  await client.unary(LocalService.info, {});
  await server.stop();
  await assert.rejects(client.unary(LocalService.info, {}));
  await server.listenUnix(path);
  let answer: InfoResponse | undefined;
  for (let tries = 0; answer === undefined && tries < 1_000; tries++) {
    answer = await client.unary(LocalService.info, {}).catch(() => undefined);
  }
  assert.equal(answer?.pid, 1);
});

test('a message over the limit is refused, the connection stays', async () => {
  const { client } = await serve(INFO, { info: async () => InfoResponse.create() });
  const method = LocalService.info as unknown as Method<Uint8Array, InfoResponse, false, false>;
  const large = new Uint8Array(LIMITS.rpcMessageBytesMax + 1);
  await assert.rejects(client.unary(method, large), { code: 'OVERLOADED' });
  await client.unary(LocalService.info, {});
});

const WATCH = { watchService: ControlService.watchService };

test('a server stream yields in order and ends; its handler ends when the reader stops', async () => {
  let ended: () => void;
  const over = new Promise<void>((resolve) => {
    ended = resolve;
  });
  const { client } = await serve(WATCH, {
    watchService: async function* ({ version }) {
      try {
        for (let i = 0; version === 0 || i < version; i++) {
          yield ServiceProgress.create({ message: String(i) });
        }
      } finally {
        ended();
      }
    },
  });
  const all: string[] = [];
  const three = WatchServiceRequest.create({ version: 3 });
  for await (const item of client.serverStream(ControlService.watchService, three)) {
    all.push(item.message);
  }
  assert.deepEqual(all, ['0', '1', '2']);
  const endless = WatchServiceRequest.create();
  for await (const _ of client.serverStream(ControlService.watchService, endless)) break;
  await over;
});

test('an error inside a server stream comes after what was sent', async () => {
  const { client } = await serve(WATCH, {
    watchService: async function* () {
      yield ServiceProgress.create({ message: 'one' });
      throw new SwarmError('EXPIRED', 'too old');
    },
  });
  const seen: string[] = [];
  const read = async () => {
    for await (const item of client.serverStream(ControlService.watchService, {} as never)) {
      seen.push(item.message);
    }
  };
  await assert.rejects(read(), { code: 'EXPIRED' });
  assert.deepEqual(seen, ['one']);
});

const SNAPSHOT = { snapshot: RaftService.snapshot };

test('a client stream arrives in order and is answered once', async () => {
  const { client } = await serve(SNAPSHOT, {
    snapshot: async (chunks) => {
      let sum = 0;
      for await (const chunk of chunks) sum = sum * 10 + chunk.sequence;
      return SnapshotAck.create({ resumeAfter: sum });
    },
  });
  const chunks = async function* () {
    for (const sequence of [1, 2, 3]) yield SnapshotChunk.create({ sequence });
  };
  const ack = await client.clientStream(RaftService.snapshot, chunks());
  assert.equal(ack.resumeAfter, 123);
});

test('a handler may answer a client stream before its end', async () => {
  const { client } = await serve(SNAPSHOT, {
    snapshot: async () => SnapshotAck.create({ reason: 'no' }),
  });
  const chunks = async function* () {
    for (let sequence = 0; ; sequence++) {
      yield SnapshotChunk.create({ sequence, values: [new Uint8Array(100_000)] });
    }
  };
  const ack = await client.clientStream(RaftService.snapshot, chunks());
  assert.equal(ack.reason, 'no');
});

const SESSION = { session: DispatcherService.session };
type ServerEnd = Duplex<AgentMessage, ManagerMessage>;

function closed(stream: Duplex<never, never>): Promise<SwarmError | undefined> {
  return new Promise((resolve) => stream.onClose(resolve));
}

test('both ends of a stream talk, and an orderly end is no error', async () => {
  let server: Promise<SwarmError | undefined> | undefined;
  const { client } = await serve(SESSION, {
    session: (stream) => {
      server = closed(stream as never);
      stream.onMessage((message) =>
        stream.sendEncoded(
          ManagerMessage.encode(
            ManagerMessage.create({
              reportsCommitted: { sequence: message.heartbeat?.sequence ?? 0 },
            }),
          ),
        ),
      );
    },
  });
  const stream = client.duplex(DispatcherService.session);
  const answer = new Promise<ManagerMessage>((resolve) => stream.onMessage(resolve));
  stream.send(AgentMessage.create({ heartbeat: { sequence: 7 } }));
  assert.equal((await answer).reportsCommitted?.sequence, 7);
  const over = closed(stream as never);
  stream.end();
  assert.equal(await over, undefined);
  assert.equal(await server, undefined);
});

test('what the other end does not take is counted, and announced when it is gone', async () => {
  let found: (stream: ServerEnd) => void;
  const arrived = new Promise<ServerEnd>((resolve) => {
    found = resolve;
  });
  const { client } = await serve(SESSION, { session: (stream) => found(stream) });
  const stream = client.duplex(DispatcherService.session);
  stream.send(AgentMessage.create({}));
  const server = await arrived;
  const bytes = ManagerMessage.encode(
    ManagerMessage.create({ removed: { reason: 'x'.repeat(64 << 10) } }),
  );
  for (let i = 0; i < 64; i++) server.sendEncoded(bytes);
  assert.ok(server.unsentBytes > 2 << 20, `${server.unsentBytes}`);
  const drained = new Promise<void>((resolve) => server.onDrain(resolve));
  let received = 0;
  const all = new Promise<void>((resolve) => {
    stream.onMessage(() => {
      if (++received === 64) resolve();
    });
  });
  await Promise.all([all, drained]);
  assert.equal(server.unsentBytes, 0);
  stream.destroy();
});

test('the client counts unsent bytes as well', async () => {
  let found: (stream: ServerEnd) => void;
  const arrived = new Promise<ServerEnd>((resolve) => {
    found = resolve;
  });
  const { client } = await serve(SESSION, { session: (stream) => found(stream) });
  const stream = client.duplex(DispatcherService.session);
  const name = 'x'.repeat(64 << 10);
  for (let i = 0; i < 64; i++) stream.send(AgentMessage.create({ hello: { nodeId: name } }));
  const server = await arrived;
  assert.ok(stream.unsentBytes > 2 << 20, `${stream.unsentBytes}`);
  const drained = new Promise<void>((resolve) => stream.onDrain(resolve));
  server.onMessage(() => undefined);
  await drained;
  assert.equal(stream.unsentBytes, 0);
  stream.destroy();
});

test('a stream that is cut says so at both ends', async () => {
  let found: (stream: ServerEnd) => void;
  const arrived = new Promise<ServerEnd>((resolve) => {
    found = resolve;
  });
  const { client, server } = await serve(SESSION, { session: (stream) => found(stream) });
  const first = client.duplex(DispatcherService.session);
  first.send(AgentMessage.create({}));
  const gone = closed((await arrived) as never);
  first.destroy();
  assert.equal((await gone)?.details['reset'], 'true');
  const second = client.duplex(DispatcherService.session);
  const lost = closed(second as never);
  second.send(AgentMessage.create({}));
  await server.stop();
  const error = await lost;
  assert.equal(error?.code, 'UNREACHABLE');
  assert.equal(error?.details['reset'], 'true');
});

test('a stream that the server refuses carries its error', async () => {
  const { client } = await serve(SESSION, {
    session: (stream) =>
      stream.destroy(new SwarmError('NOT_LEADER', 'not me', { details: { leader: 'a:1' } })),
  });
  const stream = client.duplex(DispatcherService.session);
  const error = await closed(stream as never);
  assert.equal(error?.code, 'NOT_LEADER');
  assert.deepEqual(error?.details, { leader: 'a:1' });
});

test('a service can be taken away and put back', async () => {
  const { client, server } = await serve(INFO, { info: async () => InfoResponse.create() });
  server.removeService(INFO);
  await assert.rejects(client.unary(LocalService.info, {}), { code: 'UNSUPPORTED' });
  server.addService(INFO, { info: async () => InfoResponse.create({ pid: 2 }) });
  assert.equal((await client.unary(LocalService.info, {})).pid, 2);
});

test('a socket path that is too long is refused before anything is made', async () => {
  const authorizer = { nodeRole: () => undefined };
  const server = new RpcServer({ clock: new SystemClock(), log: silentLog, authorizer });
  await assert.rejects(server.listenUnix(`/tmp/${'x'.repeat(100)}`), { code: 'STATE_DIR' });
});

test('a server that stops lets the answers that are due go out', async () => {
  const { server, client } = await serve(INFO, {
    info: async () => {
      void server.stop(5_000);
      for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate);
      return InfoResponse.create({ nodeName: 'last' });
    },
  });
  assert.equal((await client.unary(LocalService.info, Empty.create())).nodeName, 'last');
  await assert.rejects(client.unary(LocalService.info, Empty.create()), { code: 'UNREACHABLE' });
});
