import assert from 'node:assert/strict';
import { isIPv6 } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  contains,
  endOf,
  formatIpv4,
  formatIpv6,
  formatPrefix,
  overlaps,
  type Prefix,
  parseIpv4,
  parseIpv6,
  parsePrefix,
} from './prefix.ts';

const prefix = (text: string): Prefix => {
  const parsed = parsePrefix(text);
  assert.ok(parsed !== undefined, text);
  return parsed;
};

test('addresses read back what was written', () => {
  fc.assert(
    fc.property(fc.nat(0xffffffff), (value) => assert.equal(parseIpv4(formatIpv4(value)), value)),
  );
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: (1n << 128n) - 1n }), (value) => {
      const text = formatIpv6(value);
      assert.ok(isIPv6(text), text);
      assert.equal(parseIpv6(text), value);
    }),
  );
});

test('IPv6 addresses have the one short form', () => {
  const short = (text: string) => formatIpv6(parseIpv6(text)!);
  assert.equal(short('0:0:0:0:0:0:0:0'), '::');
  assert.equal(short('fd00:0:0:1:0:0:0:1'), 'fd00:0:0:1::1');
  assert.equal(short('2001:DB8::1:0:0:1'), '2001:db8::1:0:0:1');
  assert.equal(short('1:0:2:3:4:5:6:7'), '1:0:2:3:4:5:6:7');
  assert.equal(short('::ffff:10.0.0.1'), '::ffff:a00:1');
});

test('what is no address or prefix is not taken for one', () => {
  for (const text of [
    '',
    '10.0.0',
    '10.0.0.256',
    '10.0.0.01',
    '10.0.0.0/33',
    'a',
    '10.0.0.0/',
    '::1/129',
  ])
    assert.equal(parsePrefix(text), undefined, text);
  for (const text of ['1:2:3', '::1::', ':1', '1:2:3:4:5:6:7:8:9', '12345::', 'fe80::1%eth0'])
    assert.equal(parseIpv6(text), undefined, text);
});

test('prefixes drop the bits behind their length', () => {
  assert.equal(formatPrefix(prefix('10.1.2.3/16')), '10.1.0.0/16');
  assert.equal(formatPrefix(prefix('fd00::1:2/112')), 'fd00::1:0/112');
  assert.equal(formatPrefix(prefix('10.1.2.3')), '10.1.2.3/32');
  assert.equal(endOf(prefix('10.0.0.0/24')), BigInt(parseIpv4('10.0.1.0')!));
});

test('overlap and containment', () => {
  assert.ok(overlaps(prefix('10.0.0.0/8'), prefix('10.9.0.0/16')));
  assert.ok(overlaps(prefix('10.9.0.0/16'), prefix('10.0.0.0/8')));
  assert.ok(!overlaps(prefix('10.0.0.0/24'), prefix('10.0.1.0/24')));
  assert.ok(!overlaps(prefix('0.0.0.0/0'), prefix('::/0')));
  assert.ok(contains(prefix('10.0.0.0/8'), prefix('10.255.255.0/24')));
  assert.ok(!contains(prefix('10.0.0.0/24'), prefix('10.0.0.0/8')));
});
