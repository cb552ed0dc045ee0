import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type RaftAck, RaftFrame, RaftService, Role } from '../../../proto/index.ts';
import { ManualClock } from '../../../shared/clock.ts';
import { silentLog } from '../../../shared/log.ts';
import { SeededRandom } from '../../../shared/random.ts';
import type { CallContext, Client, Duplex, Peer } from '../../../shared/rpc/rpc.ts';
import { type Message, MessageType, message } from '../core/index.ts';
import { PeerDirectory } from './peers.ts';
import { senderProblem, Transport } from './transport.ts';
import { toWire } from './wire.ts';

const identity = { clusterId: 'c', epoch: 2, nodeId: 'me', raftId: 1, format: 1 } as const;
const frame = { clusterId: 'c', epoch: 2, from: 7, to: 1 };
const peers = [{ raftId: 7, nodeId: 'seven', address: 'seven:1' }];
const directory = new PeerDirectory({ peers, removed: [9] }, () => undefined);
const node = (nodeId: string, role: Role = Role.MANAGER): { peer: Peer } => {
  return { peer: { kind: 'node', nodeId, role, clusterId: 'c' } };
};

describe('the sender of a raft message', () => {
  test('is taken when its certificate is that of the raft id', () => {
    assert.equal(senderProblem(frame, node('seven'), identity, directory), undefined);
  });
  test('is refused in the name of another node', () => {
    assert.match(senderProblem(frame, node('eight'), identity, directory)!, /name of another/);
  });
  test('is refused without a certificate, and as a worker', () => {
    const anonymous = { peer: { kind: 'anonymous' } as const };
    assert.match(senderProblem(frame, anonymous, identity, directory)!, /managers only/);
    const worker = node('seven', Role.WORKER);
    assert.match(senderProblem(frame, worker, identity, directory)!, /managers only/);
  });
  test('is refused from another cluster, another epoch, or for another member', () => {
    for (const wrong of [{ clusterId: 'd' }, { epoch: 1 }, { to: 3 }]) {
      const problem = senderProblem({ ...frame, ...wrong }, node('seven'), identity, directory);
      assert.notEqual(problem, undefined);
    }
  });
  test('may be a manager that is not known yet: a new member hears of others by them', () => {
    const unknown = { ...frame, from: 8 };
    assert.equal(senderProblem(unknown, node('eight'), identity, directory), undefined);
  });
});

describe('the transport', () => {
  const received: Message[] = [];
  /** By method: the types of the messages that went out on its streams, in frames. */
  const sent = new Map<object, number[][]>();
  const owner = {
    received: (messages: readonly Message[]) => received.push(...messages),
    unreachable: () => undefined,
    refused: () => undefined,
    removed: () => undefined,
  };
  const dial = (): Client => {
    const duplex = (method: object) => {
      const frames: number[][] = [];
      assert.equal(sent.has(method), false, 'one stream for each');
      sent.set(method, frames);
      return {
        unsentBytes: 0,
        sendEncoded: (bytes: Uint8Array) => {
          frames.push(RaftFrame.decode(bytes).messages.map(({ type }) => type));
        },
        onMessage: () => undefined,
        onClose: () => undefined,
        onDrain: () => undefined,
        end: () => undefined,
      };
    };
    return { duplex, close: () => undefined } as unknown as Client;
  };
  const transport = new Transport('me:1', identity, directory, owner, {
    clock: new ManualClock(),
    random: new SeededRandom(1),
    log: silentLog,
    dial,
    probe: async () => 'refused',
  });

  test('has a connection for entries and one for all else, so that neither waits', async () => {
    const { App, AppResp, Heartbeat, TimeoutNow, Vote } = MessageType;
    for (const type of [App, Heartbeat, Vote, AppResp, TimeoutNow]) {
      transport.send(message({ type, to: 7, from: 1, term: 1 }));
    }
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(sent.get(RaftService.append), [[App]]);
    assert.deepEqual(sent.get(RaftService.control), [[Heartbeat, Vote, AppResp, TimeoutNow]]);
  });

  test('takes from a frame what its sender says itself, to this member', () => {
    let arrive = (_: RaftFrame): void => undefined;
    const stream = {
      onClose: () => undefined,
      onMessage: (fn: (frame: RaftFrame) => void) => {
        arrive = fn;
      },
    };
    const context = node('seven') as CallContext;
    transport.accept(stream as unknown as Duplex<RaftFrame, RaftAck>, context);
    const heartbeat = (from: number, to: number, term: number) =>
      toWire(message({ type: MessageType.Heartbeat, from, to, term }));
    const messages = [heartbeat(7, 1, 1), heartbeat(8, 1, 2), heartbeat(7, 8, 3)];
    arrive(RaftFrame.create({ ...frame, messages }));
    assert.deepEqual(
      received.map(({ term }) => term),
      [1],
    );
  });
});

describe('the directory of peers', () => {
  test('never forgets that a raft id was removed', () => {
    directory.learn({ raftId: 9, nodeId: 'nine', address: 'nine:1' });
    assert.equal(directory.get(9), undefined);
    assert.equal(directory.isRemoved(9), true);
  });
  test('takes a new address and keeps what is not said', () => {
    directory.learn({ raftId: 7, nodeId: '', address: 'seven:2' });
    assert.deepEqual(directory.get(7), { raftId: 7, nodeId: 'seven', address: 'seven:2' });
  });
});
