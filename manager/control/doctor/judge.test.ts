import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Init, NodeNetwork, type PeerProbe } from '../../../proto/index.ts';
import type { Examined } from './finding.ts';
import { judge, type KnownNetwork } from './judge.ts';

const SIZES = [1_450, 1_410, 100];
const FINE = { sent: SIZES, answered: SIZES, left: true, heard: true, passed: true };
const NETWORKS: readonly KnownNetwork[] = [
  { name: 'front', subnets: ['10.0.1.0/24'], encrypted: false },
];

/** A node that has nothing wrong but what `init` says. */
function node(name: string, init: Init<NodeNetwork> = {}, more: Partial<Examined> = {}): Examined {
  const network = NodeNetwork.create({
    tier: 'overlay',
    index: 7,
    device: 'eth0',
    mtu: 1_500,
    driver: 'virtio_net',
    routes: ['192.168.99.0/24'],
    probes: name === 'n1' ? [{ nodeId: 'n2', ...FINE }] : [{ nodeId: 'n1', ...FINE }],
    ...init,
  });
  const number = Number(name.slice(1));
  return {
    id: name,
    name,
    network,
    error: '',
    current: true,
    toldMtu: 1_500,
    dataAddress: `192.168.99.1${number}`,
    dataPort: 4_799,
    noEncryption: '',
    ...more,
  };
}

const probe = (nodeId: string, init: Init<PeerProbe>) => [{ nodeId, ...FINE, ...init }];
const NONE = { answered: [] as number[] };

/** What is wrong -> the check that names it, on which node, with which words. */
const CASES: readonly (readonly [string, readonly Examined[], string, RegExp])[] = [
  [
    'a node is silent',
    [node('n1'), node('n2', {}, { network: undefined, error: 'it has no session' })],
    'error answer n2',
    /does not answer: it has no session/,
  ],
  [
    'a node carries no networks',
    [node('n1', { tier: 'proxy', reason: 'nft is not installed' })],
    'note kernel n1',
    /nft is not installed/,
  ],
  ['rows are old', [node('n1', {}, { current: false })], 'error rows n1', /stands at 7/],
  ['the kernel refused', [node('n1', { problem: 'nft: no' })], 'error state n1', /nft: no/],
  [
    'somebody took things away',
    [node('n1', { repaired: 3 })],
    'warning state n1',
    /3 things of its network had been changed/,
  ],
  [
    'the tunnel is dead',
    [node('n1', { tunnelProblem: 'sh: wg: not found' })],
    'error encryption n1',
    /wg: not found/,
  ],
  ['a device shrank', [node('n1', { mtu: 1_400 })], 'error mtu n1', /eth0 has an MTU of 1400/],
  ['its address is gone', [node('n1', { device: '' })], 'error address n1', /192.168.99.11/],
  [
    'a card that breaks checksums',
    [node('n1', { driver: 'vmxnet3', checksumOffload: true })],
    'warning offload n1',
    /vmxnet3/,
  ],
  [
    'a route of the host is in the way',
    [node('n1', { routes: ['10.0.0.0/16'] })],
    'error overlap n1',
    /network front \(10.0.1.0\/24\) overlaps 10.0.0.0\/16/,
  ],
  [
    'a firewall forwards nothing',
    [node('n1', { dropping: ['inet filter forward forward', 'ip filter FORWARD forward'] })],
    'error firewall n1',
    /chain forward of table inet filter/,
  ],
  [
    'too many connections',
    [node('n1', { connections: 90, connectionsMax: 100 })],
    'warning connections n1',
    /90 connections of at most 100/,
  ],
  [
    'datagrams do not leave',
    [
      node('n1', { probes: probe('n2', { ...NONE, left: false }) }),
      node('n2', { probes: probe('n1', { ...NONE, heard: false, passed: false }) }),
    ],
    'error data-port n1',
    /UDP 4799 from n1 .* does not leave n1/,
  ],
  [
    'datagrams are lost on the way',
    [
      node('n1', { probes: probe('n2', NONE) }),
      node('n2', { probes: probe('n1', { ...NONE, heard: false, passed: false }) }),
    ],
    'error data-port n2',
    /UDP 4799 from n1 \(192.168.99.11\) to n2 \(192.168.99.12\): it is lost on the way/,
  ],
  [
    'a filter of the other node drops them',
    [
      node('n1', { probes: probe('n2', NONE) }),
      node('n2', {
        probes: probe('n1', { ...NONE, passed: false }),
        dropping: ['inet fw in input'],
      }),
    ],
    'error firewall n2',
    /a filter of n2 drops it/,
  ],
  [
    'large packets are lost',
    [node('n1', { probes: probe('n2', { answered: [100, 1_410] }) }), node('n2')],
    'error mtu n1',
    /packets of 1450 bytes are lost from n1 to n2, 1410 pass/,
  ],
  [
    'a tunnel is silent',
    [
      node('n1', { tunnelPeers: ['n2', 'n3'], tunnelSilent: ['n2', 'n3'] }),
      node('n2', { tunnelPeers: ['n1', 'n3'] }),
      // No task on an encrypted network: there is no tunnel, and nobody to answer.
      node('n3'),
    ],
    'error encryption n1',
    /no answer between n1 \(192.168.99.11\) and n2 \(192.168.99.12\)/,
  ],
  [
    'nothing could be sent',
    [node('n1', { probes: [], probeProblem: 'nft: denied' })],
    'warning path n1',
    /nft: denied/,
  ],
];

describe('the judge of networks', () => {
  it('finds nothing where nothing is wrong', () => {
    assert.deepEqual(judge([node('n1'), node('n2')], NETWORKS), []);
  });
  for (const [what, nodes, expected, text] of CASES)
    it(`names it once, with a fix: ${what}`, () => {
      const findings = judge(nodes, NETWORKS);
      const told = findings.map(
        ({ severity, check, nodeName }) => `${severity} ${check} ${nodeName}`,
      );
      assert.deepEqual(told, [expected]);
      assert.match(findings[0]!.text, text);
      assert.notEqual(findings[0]!.advice, '');
    });
  it('tells of missing encryption only where a network wants it', () => {
    const nodes = [node('n1', {}, { noEncryption: 'wg is not installed' })];
    assert.deepEqual(judge(nodes, NETWORKS), []);
    const [found] = judge(nodes, [{ name: 'vault', subnets: [], encrypted: true }]);
    assert.match(found!.text, /wg is not installed/);
  });
  it('blames nobody for a node that was not asked or sent nothing', () => {
    const alone = node('n1', { probes: probe('n2', { ...NONE, heard: false, passed: false }) });
    assert.deepEqual(judge([alone], NETWORKS), []);
  });
});
