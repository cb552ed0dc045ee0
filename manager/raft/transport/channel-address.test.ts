import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { RaftFrame } from '../../../proto/index.ts';
import { ManualClock } from '../../../shared/clock.ts';
import { SwarmError } from '../../../shared/errors.ts';
import { SeededRandom } from '../../../shared/random.ts';
import type { Client } from '../../../shared/rpc/rpc.ts';
import { MessageType, message } from '../core/index.ts';
import { Channel } from './channel.ts';

/** A peer whose connections are counted and never answer. */
class Peer {
  address: string | undefined = 'here:1';
  readonly clock = new ManualClock();
  readonly dialed: string[] = [];
  readonly left: string[] = [];
  readonly sentTo: string[] = [];
  dropped = 0;
  lose: (() => void) | undefined;
  readonly channel = new Channel('control', {
    clock: this.clock,
    random: new SeededRandom(1),
    address: () => this.address,
    dial: (address) => this.#client(address),
    frame: (messages) => RaftFrame.create({ messages }),
    dropped: () => this.dropped++,
    broke: () => undefined,
    acknowledged: () => undefined,
  });

  async say(): Promise<void> {
    this.channel.send(message({ type: MessageType.Heartbeat, to: 2, from: 1, term: 1 }));
    await new Promise(setImmediate);
  }

  #client(address: string): Client {
    this.dialed.push(address);
    const stream = {
      unsentBytes: 0,
      sendEncoded: () => this.sentTo.push(address),
      onDrain: () => undefined,
      onMessage: () => undefined,
      onClose: (fn: (error: SwarmError) => void) => {
        this.lose = () => fn(new SwarmError('UNREACHABLE', 'gone'));
      },
      destroy: () => this.left.push(address),
    };
    return { address, duplex: () => stream, close: () => undefined } as never;
  }
}

describe('a channel to a peer that moves', () => {
  test('is opened once and used on', async () => {
    const peer = new Peer();
    await peer.say();
    await peer.say();
    assert.deepEqual([peer.dialed, peer.sentTo], [['here:1'], ['here:1', 'here:1']]);
  });

  test('follows the peer to another address, although nobody refuses at the old one', async () => {
    const peer = new Peer();
    await peer.say();
    peer.address = 'there:1';
    await peer.say();
    assert.deepEqual([peer.dialed, peer.left], [['here:1', 'there:1'], ['here:1']]);
    assert.deepEqual(peer.sentTo, ['here:1', 'there:1']);
  });

  test('that was lost waits before it dials again, but not where the peer is new', async () => {
    const peer = new Peer();
    await peer.say();
    peer.lose!();
    await peer.say();
    assert.deepEqual(peer.dialed, ['here:1'], 'it waits');
    assert.equal(peer.dropped, 2);
    peer.address = 'there:1';
    await peer.say();
    assert.deepEqual(peer.dialed, ['here:1', 'there:1']);
  });

  test('is not opened while nobody knows where the peer is', async () => {
    const peer = new Peer();
    peer.address = undefined;
    await peer.say();
    assert.deepEqual([peer.dialed, peer.dropped], [[], 1]);
  });
});
