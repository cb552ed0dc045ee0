import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Role } from '../../../proto/index.ts';
import type { Peer } from '../../../shared/rpc/rpc.ts';
import { PeerDirectory } from './peers.ts';
import { senderProblem } from './transport.ts';

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
