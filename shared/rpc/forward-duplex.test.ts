import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Method } from '../../proto/index.ts';
import { ManualClock } from '../clock.ts';
import { SwarmError } from '../errors.ts';
import { SeededRandom } from '../random.ts';
import type { ForwardDeps } from './attempts.ts';
import { forwarding } from './forward.ts';
import { type MemoryDuplex, memoryDuplex } from './memory-duplex.fixture.ts';
import type { CallContext, Client, Duplex } from './rpc.ts';

type End = MemoryDuplex<string, string>;
const TALK = {
  talk: { path: '/test/Talk', requestStream: true, responseStream: true } as Method<
    string,
    string,
    true,
    true
  >,
};
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function setUp(patch: Partial<ForwardDeps> = {}) {
  const clock = new ManualClock();
  /** The leader's ends of streams that were opened to it. */
  const leaders: End[] = [];
  const local: Duplex<string, string>[] = [];
  const client = {
    duplex: () => {
      const { near, far } = memoryDuplex<string, string>();
      leaders.push(far);
      return near;
    },
  } as unknown as Client;
  const deps: ForwardDeps = {
    clock,
    random: new SeededRandom(1),
    isLeader: () => false,
    leaderClient: () => client,
    noLeader: () => new SwarmError('NO_QUORUM', 'nobody leads'),
    leaderlessMs: () => 8_000,
    ...patch,
  };
  const handlers = forwarding(TALK, { talk: (stream) => void local.push(stream) }, deps);
  const context = {
    requestId: '',
    consistency: 'linearizable',
    timeoutMs: 60_000,
    forwarded: false,
    signal: new AbortController().signal,
  } as unknown as CallContext;
  const { near: caller, far } = memoryDuplex<string, string>();
  const heard: string[] = [];
  caller.onMessage((text) => void heard.push(text));
  const closed = new Promise<SwarmError | undefined>((resolve) => caller.onClose(resolve));
  handlers.talk(far, context);
  return { clock, leaders, local, caller, heard, closed };
}

test('a talk is passed on to the leader, message by message, both ways', async () => {
  const { leaders, caller, heard, closed } = setUp();
  const said: string[] = [];
  leaders[0]!.onMessage((text) => void said.push(text));
  caller.send('open');
  leaders[0]!.send('started');
  await settle();
  caller.send('more');
  await settle();
  assert.deepEqual([said, heard], [['open', 'more'], ['started']]);
  leaders[0]!.end();
  assert.equal(await closed, undefined);
});

test('what was said before a leader answered is said again to the next one', async () => {
  const { clock, leaders, caller, heard } = setUp();
  caller.send('open');
  await settle();
  leaders[0]!.destroy(new SwarmError('NOT_LEADER', 'not any more'));
  await settle();
  clock.advance(1_000);
  await settle();
  const said: string[] = [];
  leaders[1]!.onMessage((text) => void said.push(text));
  leaders[1]!.send('started');
  await settle();
  assert.deepEqual([said, heard], [['open'], ['started']]);
});

test('a talk that has begun ends with its leader', async () => {
  const { leaders, caller, closed } = setUp();
  caller.send('open');
  leaders[0]!.send('started');
  await settle();
  leaders[0]!.destroy(new SwarmError('UNREACHABLE', 'lost'));
  assert.equal((await closed)?.code, 'UNREACHABLE');
  assert.equal(leaders.length, 1);
});

test('who goes away ends the talk at the leader', async () => {
  const { leaders, caller } = setUp();
  const ended = new Promise<void>((resolve) => leaders[0]!.onClose(() => resolve()));
  caller.end();
  await ended;
});

test('a manager that leads meanwhile has the talk itself, from its first message', async () => {
  let leads = false;
  const { clock, leaders, local, caller } = setUp({ isLeader: () => leads });
  caller.send('open');
  await settle();
  leads = true;
  leaders[0]!.destroy(new SwarmError('NOT_LEADER', 'not any more'));
  await settle();
  clock.advance(1_000);
  await settle();
  const said: string[] = [];
  local[0]!.onMessage((text) => void said.push(text));
  caller.send('more');
  await settle();
  assert.deepEqual(said, ['open', 'more']);
});
