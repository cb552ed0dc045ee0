import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import { type RaftAck, RaftFrame } from '../../../proto/index.ts';
import { ManualClock } from '../../../shared/clock.ts';
import { LIMITS } from '../../../shared/limits.ts';
import { SeededRandom } from '../../../shared/random.ts';
import type { Client, Duplex } from '../../../shared/rpc/rpc.ts';
import { type Message, MessageType, message } from '../core/index.ts';
import { Channel } from './channel.ts';
import { fromWire } from './wire.ts';

/** A stream whose peer takes nothing until it is told to. */
class SlowStream {
  unsentBytes = 0;
  readonly frames: Message[][] = [];
  #drained: () => void = () => undefined;
  #closed: () => void = () => undefined;

  sendEncoded(bytes: Uint8Array): void {
    this.unsentBytes += bytes.length;
    this.frames.push(RaftFrame.decode(bytes).messages.map(fromWire));
  }
  drain(): void {
    this.unsentBytes = 0;
    this.#drained();
  }
  breaks(): void {
    this.#closed();
  }
  onDrain(fn: () => void): void {
    this.#drained = fn;
  }
  onClose(fn: () => void): void {
    this.#closed = fn;
  }
  onMessage(): void {}
  end(): void {}
}

const append = (index: number, bytes = 10): Message => {
  const entry = { index, term: 1, type: 0, data: Buffer.alloc(bytes) } as const;
  return message({ type: MessageType.App, to: 2, from: 1, term: 1, index, entries: [entry] });
};
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('a channel to a peer', () => {
  let clock: ManualClock;
  let channel: Channel;
  let dropped = 0;
  let broke = 0;
  const streams: SlowStream[] = [];

  beforeEach(() => {
    [dropped, broke] = [0, 0];
    streams.length = 0;
    clock = new ManualClock();
    const dial = (): Client => {
      const duplex = (): Duplex<RaftAck, RaftFrame> => {
        const stream = new SlowStream();
        streams.push(stream);
        return stream as unknown as Duplex<RaftAck, RaftFrame>;
      };
      return { duplex, close: () => undefined } as unknown as Client;
    };
    channel = new Channel('append', {
      clock,
      random: new SeededRandom(1),
      address: () => 'peer:2377',
      dial,
      frame: (messages) => RaftFrame.create({ clusterId: 'c', from: 1, to: 2, messages }),
      dropped: () => dropped++,
      broke: () => broke++,
      acknowledged: () => undefined,
    });
  });

  test('sends what one turn of the event loop asks for as one frame', async () => {
    for (const index of [1, 2, 3]) channel.send(append(index));
    await turn();
    assert.deepEqual(
      streams[0]!.frames.map((frame) => frame.map(({ index }) => index)),
      [[1, 2, 3]],
    );
  });

  test('leaves out what the next message says as well', async () => {
    const news = message({ type: MessageType.App, to: 2, from: 1, term: 1, index: 0, commit: 4 });
    channel.send(news);
    channel.send({ ...append(5), commit: 5 });
    await turn();
    assert.deepEqual(
      streams[0]!.frames[0]!.map(({ commit }) => commit),
      [5],
    );
  });

  test('drops and reports what a peer does not take, and never waits for it', async () => {
    const bytes = LIMITS.raftPeerQueueBytesMax / 3;
    for (let index = 1; index <= 5; index++) {
      channel.send(append(index, bytes));
      await turn();
    }
    assert.deepEqual([streams[0]!.frames.length, dropped], [2, 3]);
    streams[0]!.drain();
    channel.send(append(6, bytes));
    await turn();
    assert.deepEqual([streams[0]!.frames.length, dropped], [3, 3]);
  });

  test('has a limit of messages too', async () => {
    for (let index = 1; index <= LIMITS.raftPeerQueueMessagesMax + 10; index++) {
      channel.send(append(index));
      await turn();
    }
    assert.deepEqual([streams[0]!.frames.length, dropped], [LIMITS.raftPeerQueueMessagesMax, 10]);
  });

  test('counts only what the stream in use holds, whatever becomes of one before it', async () => {
    channel.send(append(1));
    await turn();
    streams[0]!.breaks();
    clock.advance(1_000);
    for (let index = 1; index <= LIMITS.raftPeerQueueMessagesMax; index++) {
      channel.send(append(index));
      await turn();
    }
    streams[0]!.drain();
    channel.send(append(1));
    await turn();
    assert.equal(streams[1]!.frames.length, LIMITS.raftPeerQueueMessagesMax);
  });

  test('that broke says so, and is dialed again after a while', async () => {
    channel.send(append(1));
    await turn();
    streams[0]!.breaks();
    assert.deepEqual([dropped, broke], [1, 1]);
    channel.send(append(2));
    await turn();
    assert.deepEqual([streams.length, dropped], [1, 2]);
    clock.advance(1_000);
    channel.send(append(3));
    await turn();
    assert.equal(streams[1]!.frames.length, 1);
  });

  test('sends nothing once it is closed', async () => {
    channel.send(append(1));
    channel.close();
    await turn();
    assert.deepEqual([streams.length, dropped], [0, 0]);
  });
});
