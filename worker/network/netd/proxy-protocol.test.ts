import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Protocol } from '../../../proto/index.ts';
import { proxyHeader } from './proxy-protocol.ts';

const SIGNATURE = '0d0a0d0a000d0a515549540a';
const ports = { clientPort: 0x1234, localPort: 80 };
const header = (protocol: Protocol, clientAddress: string, localAddress: string): string =>
  proxyHeader(protocol, { clientAddress, localAddress, ...ports }).toString('hex');

test('IPv4 addresses, also where a dual-stack socket shows them as IPv6', () => {
  const expected = `${SIGNATURE}2111000cc0a80102c0a8010112340050`;
  assert.equal(header(Protocol.TCP, '192.168.1.2', '192.168.1.1'), expected);
  assert.equal(header(Protocol.TCP, '::ffff:192.168.1.2', '::ffff:192.168.1.1'), expected);
});

test('IPv6 addresses in full, without their zone', () => {
  const expected =
    `${SIGNATURE}21210024fe80000000000000000000000000000100000000000000000000000000000001` +
    '12340050';
  assert.equal(header(Protocol.TCP, 'fe80::1%eth0', '::1'), expected);
});

test('a mixed pair is written as IPv6', () => {
  const bytes = header(Protocol.TCP, '2001:db8:0:1:2:3:4:5', '10.0.0.1');
  assert.equal(
    bytes.slice(32),
    '20010db800000001000200030004000500000000000000000000ffff0a00000112340050',
  );
});

test('datagrams are marked as such', () => {
  assert.equal(header(Protocol.UDP, '10.0.0.1', '10.0.0.2').slice(24, 28), '2112');
});
