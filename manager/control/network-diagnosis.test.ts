import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type AttachedNetwork,
  DiagnoseNetworkRequest,
  type DiagnoseNetworkResponse,
  NetworkService,
  NetworkSpec,
  NetworkState,
  NodeNetwork,
} from '../../proto/index.ts';
import { networkDigest } from '../../shared/network-digest.ts';
import { attachedNetwork, networkServices } from '../dispatcher/network-messages.ts';
import { context, Fixture } from './control.fixture.ts';

/** A service with a task on a network, on the node n1; n2 has nothing of it. */
async function withService() {
  const fixture = new Fixture();
  await fixture.cluster();
  await fixture.node('n1');
  await fixture.node('n2');
  const request = { spec: NetworkSpec.create({ name: 'front' }) };
  const { network } = await fixture.control.createNetwork(request, context());
  const { id } = network!;
  const subnets = [{ cidr: '10.0.1.0/24', gateway: '10.0.1.1' }];
  await fixture.store.put('networkState', 'loop', NetworkState.create({ id, index: 2, subnets }));
  const serviceId = await fixture.create({
    name: 'web',
    task: { container: { image: 'nginx' }, networks: [{ target: 'front' }] },
  });
  const attachments = [{ networkId: id, address: '10.0.1.3' }];
  await fixture.task({ id: 't', serviceId, nodeId: 'n1', attachments });
  const { view } = fixture.store;
  const row = networkServices(view, serviceId).get(id)!;
  const networks = [attachedNetwork(view, id) as AttachedNetwork];
  const told = (networkServices: readonly NetworkService[]): NodeNetwork =>
    NodeNetwork.create({
      tier: 'overlay',
      device: 'eth0',
      digest: networkDigest({ peers: [], networks, networkServices }),
      services: networkServices,
    });
  const diagnose = (init: Partial<DiagnoseNetworkRequest>): Promise<DiagnoseNetworkResponse> =>
    fixture.control.diagnoseNetwork(DiagnoseNetworkRequest.create(init), context());
  return { fixture, row, told, diagnose };
}

test('a node with the rows of the managers is current, one with others is stale and names them', async () => {
  const { fixture, row, told, diagnose } = await withService();
  fixture.networkLooks.set('n1', () => told([row]));
  const [fine, ...more] = (await diagnose({ network: 'front' })).nodes;
  assert.deepEqual([fine!.nodeName, fine!.current, fine!.stale, more], ['n1', true, [], []]);
  assert.equal(fine!.network!.services[0]!.endpoints[0]!.address, '10.0.1.3');
  const old = NetworkService.with(row, { endpoints: [] });
  fixture.networkLooks.set('n1', () => told([old]));
  const { nodes, findings } = await diagnose({ network: 'front' });
  assert.deepEqual([nodes[0]!.current, nodes[0]!.stale], [false, ['web']]);
  assert.equal(findings[0]!.check, 'rows');
});

test('a node that does not answer is a finding, and a named node is shown alone', async () => {
  const { fixture, row, told, diagnose } = await withService();
  fixture.networkLooks.set('n1', () => told([row]));
  const all = await diagnose({});
  assert.deepEqual(
    all.nodes.map(({ nodeName, error }) => [nodeName, error]),
    [
      ['n1', ''],
      ['n2', 'it does not answer'],
    ],
  );
  const found = all.findings.map(({ check, nodeName }) => `${check} ${nodeName}`);
  assert.deepEqual(found, ['answer n2']);
  const one = await diagnose({ ref: 'n1' });
  assert.deepEqual([one.nodes.length, one.findings], [1, []]);
});
