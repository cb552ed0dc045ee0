import assert from 'node:assert/strict';
import { test } from 'node:test';
import { endFlows, type Flows, findFlows, foundFlows } from './flows.ts';

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
const ENDED = TCP.replace('ESTABLISHED', 'TIME_WAIT');
const RESET = TCP.replace('ESTABLISHED', 'CLOSE');
const UNANSWERED_TCP = TCP.replace('ESTABLISHED', 'SYN_SENT').replace(
  ' src=10.0.1.12',
  ' [UNREPLIED]$&',
);
const PING =
  'ipv4     2 icmp     1 29 src=10.0.1.11 dst=10.0.1.2 type=8 code=0 id=7 src=10.0.1.12 ' +
  'dst=10.0.1.11 type=0 code=0 id=7 mark=0 zone=0 use=2';
const TCP6 =
  'ipv6     10 tcp      6 431999 ESTABLISHED src=fd00:0000:0000:0001:0000:0000:0000:0011 ' +
  'dst=fd00:0000:0000:0001:0000:0000:0000:0002 sport=4000 dport=80 ' +
  'src=fd00:0000:0000:0001:0000:0000:0000:0012 dst=fd00:0000:0000:0001:0000:0000:0000:0011 ' +
  'sport=80 dport=4000 [ASSURED] mark=0 zone=0 use=2';

const cases: readonly [string, readonly Flows[], readonly string[]][] = [
  ['datagrams to a backend', [{ backend: '10.0.1.12', datagrams: true }], [UDP, UNANSWERED]],
  [
    'all to a backend but what has ended',
    [{ backend: '10.0.1.12', datagrams: false }],
    [UDP, UNANSWERED, TCP, UNANSWERED_TCP, PING],
  ],
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

const ALL = [UDP, UNANSWERED, TCP, UNANSWERED_TCP, ENDED, RESET, PING, TCP6];

for (const [what, flows, lines] of cases)
  test(`flows are found: ${what}`, () => {
    const pattern = new RegExp(findFlows(flows)[1]!);
    assert.deepEqual(
      ALL.filter((line) => pattern.test(line)),
      lines,
    );
    // Where the file is missing conntrack lists everything.
    assert.deepEqual(foundFlows(ALL.join('\n'), flows), foundFlows(lines.join('\n'), flows));
  });

test('flows of one protocol and state are ended at once', () => {
  const flows = [{ backend: '10.0.1.12', datagrams: false }];
  assert.deepEqual(
    foundFlows(ALL.join('\n'), flows).map((each) => endFlows(each).join(' ')),
    [
      '-D -p udp --reply-src 10.0.1.12',
      '-D -p tcp --state ESTABLISHED --reply-src 10.0.1.12',
      '-D -p tcp --state SYN_SENT --reply-src 10.0.1.12',
      '-D -p icmp --reply-src 10.0.1.12',
    ],
  );
});

test('addresses of IPv6 are found in short and ended as they were given', () => {
  const flows = [{ backend: 'fd00:0:0:1::12', datagrams: false }];
  const short = TCP6.replaceAll('fd00:0000:0000:0001:0000:0000:0000:00', 'fd00:0:0:1::');
  assert.match(short, /src=fd00:0:0:1::12 /);
  assert.deepEqual(foundFlows(short, flows), foundFlows(TCP6, flows));
  assert.deepEqual(foundFlows(TCP6, flows), [
    { backend: 'fd00:0:0:1::12', protocol: 'tcp', state: 'ESTABLISHED' },
  ]);
});
