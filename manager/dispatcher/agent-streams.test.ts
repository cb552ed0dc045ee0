import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type StreamDown, type StreamRequest, StreamUp } from '../../proto/index.ts';
import { ManualClock } from '../../shared/clock.ts';
import type { SwarmError } from '../../shared/errors.ts';
import { SeededRandom } from '../../shared/random.ts';
import { memoryDuplex } from '../../shared/rpc/memory-duplex.fixture.ts';
import type { CallContext } from '../../shared/rpc/rpc.ts';
import { AgentStreams } from './agent-streams.ts';

function world(deps: { ask?: () => boolean; isExpected?: () => boolean } = {}) {
  const clock = new ManualClock();
  const asked: StreamRequest[] = [];
  const streams = new AgentStreams({
    clock,
    random: new SeededRandom(1),
    ask: (_nodeId, request) => (deps.ask?.() ?? true) && asked.push(request) > 0,
    isExpected: () => deps.isExpected?.() ?? false,
    nodeName: (nodeId) => `name-of-${nodeId}`,
  });
  /** A stream with this node that its agent has opened, and why it ended. */
  async function open(nodeId: string) {
    const ends: (SwarmError | undefined)[] = [];
    const listener = {
      receive: () => undefined,
      closed: (error: SwarmError | undefined) => void ends.push(error),
    };
    streams.open(nodeId, {}, listener);
    const { id } = asked.at(-1)!;
    const { near, far } = memoryDuplex<StreamUp, StreamDown>();
    streams.serve(near, { peer: { kind: 'node', nodeId } } as unknown as CallContext);
    const speak = async (): Promise<void> => {
      far.send(StreamUp.create({ id }));
      await new Promise((resolve) => setImmediate(resolve));
    };
    await speak();
    return { ends, speak };
  }
  return { clock, streams, asked, open };
}

test('who waits for a node that is down hears so at once, by its name', async () => {
  const { clock, streams, open } = world();
  const { ends } = await open('n1');
  const other = await open('n2');
  clock.advance(4_000);
  streams.nodeDown('n1', clock.monotonicMs() - 3_000);
  assert.equal(ends.length, 1);
  assert.equal(ends[0]?.code, 'NO_ANSWER');
  assert.match(ends[0].message, /connection to node name-of-n1 was lost/);
  assert.deepEqual(other.ends, []);
});

test('a stream on which the node has spoken since goes on', async () => {
  const { clock, streams, open } = world();
  const { ends, speak } = await open('n1');
  const heardMs = clock.monotonicMs();
  clock.advance(3_000);
  await speak();
  streams.nodeDown('n1', heardMs);
  assert.deepEqual(ends, []);
});

/** Resolves with why the stream ended. */
function ended(streams: AgentStreams, nodeId: string): Promise<SwarmError | undefined> {
  return new Promise((closed) => streams.open(nodeId, {}, { receive: () => undefined, closed }));
}

test('a node that is down is no manager that can not be reached: nobody tries again for it', async () => {
  const { streams } = world({ ask: () => false });
  const error = await ended(streams, 'n1');
  assert.deepEqual([error?.code, error?.command], ['NO_ANSWER', 'swarm why name-of-n1']);
  assert.match(error!.message, /Node name-of-n1 has no connection to the leader/);
});

test('a node that is about to have a session is asked when it has one, and not waited for long', async () => {
  let hasSession = false;
  const { clock, streams, asked } = world({ ask: () => hasSession, isExpected: () => true });
  const other = ended(streams, 'n2');
  void ended(streams, 'n1');
  hasSession = true;
  streams.arrived('n1');
  streams.arrived('n1');
  assert.equal(asked.length, 1);
  clock.advance(5_000);
  assert.equal((await other)?.code, 'DEADLINE');
  streams.arrived('n2');
  assert.equal(asked.length, 1);
});
