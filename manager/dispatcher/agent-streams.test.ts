import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type StreamDown, type StreamRequest, StreamUp } from '../../proto/index.ts';
import { ManualClock } from '../../shared/clock.ts';
import type { SwarmError } from '../../shared/errors.ts';
import { SeededRandom } from '../../shared/random.ts';
import { memoryDuplex } from '../../shared/rpc/memory-duplex.fixture.ts';
import type { CallContext } from '../../shared/rpc/rpc.ts';
import { AgentStreams } from './agent-streams.ts';

function world() {
  const clock = new ManualClock();
  const asked: StreamRequest[] = [];
  const streams = new AgentStreams({
    clock,
    random: new SeededRandom(1),
    ask: (_nodeId, request) => asked.push(request) > 0,
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
  return { clock, streams, open };
}

test('who waits for a node that is down hears so at once, by its name', async () => {
  const { clock, streams, open } = world();
  const { ends } = await open('n1');
  const other = await open('n2');
  clock.advance(4_000);
  streams.nodeDown('n1', clock.monotonicMs() - 3_000);
  assert.equal(ends.length, 1);
  assert.equal(ends[0]?.code, 'UNREACHABLE');
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
