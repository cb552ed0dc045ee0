import assert from 'node:assert/strict';
import { test } from 'node:test';
import { endFlow, type Flows, findFlows } from './flows.ts';

/** As Linux lists them. */
const UDP =
  'ipv4     2 udp      17 25 src=10.0.1.11 dst=10.0.1.2 sport=4000 dport=53 src=10.0.1.12 ' +
  'dst=10.0.1.11 sport=53 dport=4000 [ASSURED] mark=0 zone=0 use=2';
const UNANSWERED =
  'ipv4     2 udp      17 25 src=10.0.1.11 dst=10.0.1.2 sport=4000 dport=53 [UNREPLIED] ' +
  'src=10.0.1.12 dst=10.0.1.11 sport=53 dport=4000 mark=0 zone=0 use=2';
const TCP =
  'ipv4     2 tcp      6 431999 ESTABLISHED src=10.0.1.11 dst=10.0.1.2 sport=4000 dport=80 ' +
  'src=10.0.1.12 dst=10.0.1.11 sport=80 dport=4000 [ASSURED] mark=0 zone=0 use=2';
const TCP6 =
  'ipv6     10 tcp      6 431999 ESTABLISHED src=fd00:0000:0000:0001:0000:0000:0000:0011 ' +
  'dst=fd00:0000:0000:0001:0000:0000:0000:0002 sport=4000 dport=80 ' +
  'src=fd00:0000:0000:0001:0000:0000:0000:0012 dst=fd00:0000:0000:0001:0000:0000:0000:0011 ' +
  'sport=80 dport=4000 [ASSURED] mark=0 zone=0 use=2';

const cases: readonly [string, readonly Flows[], readonly string[]][] = [
  ['datagrams to a backend', [{ backend: '10.0.1.12', datagrams: true }], [UDP, UNANSWERED]],
  ['all to a backend', [{ backend: '10.0.1.12', datagrams: false }], [UDP, UNANSWERED, TCP]],
  ['none from a client', [{ backend: '10.0.1.11', datagrams: false }], []],
  ['none of an address that begins alike', [{ backend: '10.0.1.1', datagrams: false }], []],
  ['those of IPv6', [{ backend: 'fd00:0:0:1::12', datagrams: false }], [TCP6]],
  ['none of UDP over IPv6', [{ backend: 'fd00:0:0:1::12', datagrams: true }], []],
  [
    'of any of several',
    [
      { backend: '10.0.1.12', datagrams: true },
      { backend: 'fd00:0:0:1::12', datagrams: false },
    ],
    [UDP, UNANSWERED, TCP6],
  ],
];

for (const [what, flows, found] of cases)
  test(`flows are found: ${what}`, () => {
    const pattern = new RegExp(findFlows(flows)[2]!);
    assert.deepEqual(
      [UDP, UNANSWERED, TCP, TCP6].filter((line) => pattern.test(line)),
      found,
    );
  });

test('of a backend that leaves datagrams are ended, of one that is gone everything', () => {
  const words = (datagrams: boolean): string =>
    endFlow({ backend: '10.0.1.12', datagrams }).join(' ');
  assert.equal(words(true), '-D -p udp --reply-src 10.0.1.12');
  assert.equal(words(false), '-D --reply-src 10.0.1.12');
});
