import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { uncompress } from './snappy.ts';

const bytes = (...values: number[]): Buffer => Buffer.from(values);

describe('Snappy', () => {
  test('a literal, and a copy that reaches into what it writes', () => {
    // 10 bytes: literal "ab", then 8 bytes from 2 before.
    assert.equal(uncompress(bytes(10, 0x04, 0x61, 0x62, 0x11, 0x02)).toString(), 'ababababab');
  });

  test('a copy whose distance has two bytes, and a long literal', () => {
    const literal = Buffer.alloc(300, 'x');
    literal.write('begin');
    const packed = Buffer.concat([
      bytes(0xb1, 0x02),
      bytes(61 << 2, 299 & 0xff, 299 >> 8),
      literal,
      bytes((4 << 2) | 2, 300 & 0xff, 300 >> 8),
    ]);
    assert.equal(uncompress(packed).subarray(300).toString(), 'begin');
  });

  test('what is none is refused', () => {
    for (const wrong of [
      bytes(),
      bytes(5, 0x04, 0x61, 0x62),
      bytes(1, 0x04, 0x61, 0x62),
      bytes(10, 0x04, 0x61, 0x62, 0x11, 0x03),
      bytes(10, 0x04, 0x61, 0x62, 0x11, 0x00),
      bytes(4, 0xf0),
    ]) {
      assert.throws(() => uncompress(wrong), RangeError, wrong.toString('hex'));
    }
  });
});
