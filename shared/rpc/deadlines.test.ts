import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import * as proto from '../../proto/index.ts';
import { SystemClock } from '../clock.ts';
import { LIMITS } from '../limits.ts';
import { silentLog } from '../log.ts';
import { dial } from './client.ts';
import type { CallContext, Handlers, ServiceDefinition } from './rpc.ts';
import type { Rule } from './rules.ts';
import { RpcServer } from './server.ts';

/** Every service of the wire format: one that is added is walked as well. */
const SERVICES = Object.values(proto as unknown as { readonly [name: string]: object })
  .map((value) => value as ServiceDefinition)
  .filter((value) => Object.values(value).some((method) => isOurs(method)));
const METHODS = SERVICES.flatMap((service) => Object.values(service));

function isOurs(method: unknown): boolean {
  const { path } = (method ?? {}) as { readonly path?: unknown };
  return typeof path === 'string' && path.startsWith('/swarm.v1.');
}

/**
 * A stream may be silent for long, so it has no deadline as a whole. What ends it when the other side
 * hangs is written here for each; a connection that is dead is noticed after twice
 * `LIMITS.rpcKeepaliveMs`, whatever it carries.
 */
const STREAMS: { readonly [path: string]: string } = {
  '/swarm.v1.Control/AddImage': 'its reader',
  '/swarm.v1.Control/Events': 'its reader; each entry waits in a queue of eventQueueMax',
  '/swarm.v1.Control/Logs': 'its reader; a node that is silent is left out after logSilentMs',
  '/swarm.v1.Control/TaskStream': 'either end; a node has streamOpenMs to answer',
  '/swarm.v1.Control/Usage': 'its reader',
  '/swarm.v1.Control/WatchService': 'its reader, who has deadlines for progress and ports',
  '/swarm.v1.Dispatcher/Session': 'helloMs without a hello, then heartbeats and the grace of nodes',
  '/swarm.v1.Dispatcher/Stream': 'whoever asked for it, for at most streamOpenMs until it is there',
  '/swarm.v1.Images/CopyBlobs': 'its reader',
  '/swarm.v1.Images/FetchBlob': 'its reader',
  '/swarm.v1.Local/Backup': 'its reader',
  '/swarm.v1.Local/Restore': 'its writer',
  '/swarm.v1.Local/TaskLogs': 'its reader',
  '/swarm.v1.Local/UploadBlobs': 'its writer',
  '/swarm.v1.Raft/Append': 'a member that acknowledges nothing for an election timeout',
  '/swarm.v1.Raft/Control': 'a member that acknowledges nothing for an election timeout',
  '/swarm.v1.Raft/Snapshot': 'the deadline that its sender gives',
};

test('every stream has something that ends it', () => {
  const streams = METHODS.filter((method) => method.requestStream || method.responseStream);
  assert.deepEqual(streams.map(({ path }) => path).sort(), Object.keys(STREAMS).sort());
});

test('every call that is answered once has a deadline, also when its caller names none', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'swarm-deadlines-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const authorizer = { nodeRole: () => undefined };
  const server = new RpcServer({ clock: new SystemClock(), log: silentLog, authorizer });
  const open: Rule = { callers: ['anonymous'] };
  const given = new Map<string, number>();
  for (const service of SERVICES) {
    const handlers = Object.entries(service).map(([name, method]) => [
      name,
      async (_request: unknown, context: CallContext) => {
        given.set(method.path, context.timeoutMs);
        return (method.response as { create(): unknown }).create();
      },
    ]);
    const rules = Object.values(service).map((method) => [method.path, open] as const);
    server.addService(
      service,
      Object.fromEntries(handlers) as Handlers<ServiceDefinition>,
      Object.fromEntries(rules),
    );
  }
  const socket = join(folder, 'swarm.sock');
  await server.listenUnix(socket);
  const client = dial(socket, { ownConnection: true });
  t.after(async () => {
    client.close();
    await server.stop();
  });
  const unary = METHODS.filter((method) => !method.requestStream && !method.responseStream);
  assert.ok(unary.length > 30, 'the services are found');
  for (const method of unary) {
    const request = (method.request as { create(): unknown }).create();
    await client.unary(method as never, request as never);
  }
  for (const { path } of unary) {
    const timeoutMs = given.get(path);
    assert.ok(timeoutMs !== undefined && timeoutMs > 0, path);
    assert.ok(timeoutMs <= LIMITS.rpcDeadlineMs, `${path}: ${timeoutMs} ms`);
  }
});
