import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Assignments } from '../../proto/index.ts';
import { applyAssignments, NO_ORDERS, type Orders } from './assignments.ts';

describe('orders', () => {
  const at = (index: number) => ({ epoch: 1, term: 1, index });
  const take = (orders: Orders, init: Parameters<typeof Assignments.create>[0]): Orders => {
    const applied = applyAssignments(orders, Assignments.create(init));
    assert.ok(applied.ok);
    return applied.orders;
  };
  const whole = take(NO_ORDERS, {
    complete: true,
    to: at(5),
    peers: [{ nodeId: 'n1', index: 1 }],
    networks: [{ id: 'net1', index: 2 }],
    networkServices: [{ id: 's1/net1' }, { id: 's2/net1' }],
    services: [{ serviceId: 's1' }],
  });

  it('keep rows that no message touches as they are', () => {
    const next = take(whole, { from: at(5), to: at(6), networkServices: [{ id: 's2/net1' }] });
    assert.equal(next.networkServices.get('s1/net1'), whole.networkServices.get('s1/net1'));
    assert.notEqual(next.networkServices.get('s2/net1'), whole.networkServices.get('s2/net1'));
    assert.equal(next.peers, whole.peers);
    assert.equal(next.services, whole.services);
  });
  it('lose what is removed', () => {
    const removed = { removedPeers: ['n1'], removedNetworkServices: ['s1/net1', 's2/net1'] };
    const next = take(whole, { from: at(5), to: at(6), ...removed, removedNetworks: ['net1'] });
    assert.deepEqual([next.peers.size, next.networks.size, next.networkServices.size], [0, 0, 0]);
  });
  it('are nothing but the message when it is complete', () => {
    const next = take(whole, { complete: true, to: at(9), peers: [{ nodeId: 'n2', index: 2 }] });
    assert.deepEqual([...next.peers.keys()], ['n2']);
    assert.equal(next.networks.size, 0);
  });
  it('tell whether the network is another one', () => {
    const passing = Assignments.create({ from: at(5), to: at(6) });
    const applied = applyAssignments(whole, passing);
    assert.equal(applied.ok && applied.networkChanged, false);
    const peer = Assignments.create({ from: at(5), to: at(6), removedPeers: ['n1'] });
    const changed = applyAssignments(whole, peer);
    assert.equal(changed.ok && changed.networkChanged, true);
  });
});
