import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SeededRandom } from '../../shared/random.ts';
import { crc32, crc32Portable } from './crc.ts';
import { Sealer } from './seal.ts';

const KEY = Buffer.from('s/service/1');
const PAYLOAD = Buffer.from('the payload of a value');
const keys = (id: number, fill: number) => {
  return { current: id, keys: new Map([[id, new Uint8Array(32).fill(fill)]]) };
};
const sealer = new Sealer(keys(1, 9), new SeededRandom(1));

for (const secret of [false, true]) {
  describe(`a ${secret ? 'secret' : 'plain'} value`, () => {
    const value = sealer.seal(KEY, PAYLOAD, secret);

    test('opens to what was sealed', () => {
      assert.deepEqual(Buffer.from(sealer.open(KEY, value).payload), PAYLOAD);
      assert.equal(sealer.open(KEY, value).secret, secret);
    });

    test('is refused with any one bit changed', () => {
      for (let bit = 0; bit < value.length * 8; bit++) {
        const changed = Uint8Array.from(value);
        changed[bit >> 3]! ^= 1 << (bit & 7);
        assert.throws(() => sealer.open(KEY, changed), { code: 'DAMAGED' }, `bit ${bit}`);
      }
    });

    test('is refused under another key', () => {
      assert.throws(() => sealer.open(Buffer.from('s/service/2'), value), { code: 'DAMAGED' });
    });

    test('is refused when cut short', () => {
      for (let length = 0; length < value.length; length++) {
        assert.throws(() => sealer.open(KEY, value.subarray(0, length)), { code: 'DAMAGED' });
      }
    });
  });
}

test('a secret of another data key does not open', () => {
  const other = new Sealer(keys(1, 8), new SeededRandom(1));
  const value = sealer.seal(KEY, PAYLOAD, true);
  assert.throws(() => other.open(KEY, value), { code: 'DAMAGED' });
  const unknown = new Sealer(keys(2, 9), new SeededRandom(1));
  assert.throws(() => unknown.open(KEY, value), { code: 'DAMAGED' });
});

test('the same payload is never sealed to the same bytes twice', () => {
  const a = sealer.seal(KEY, PAYLOAD, true);
  const b = sealer.seal(KEY, PAYLOAD, true);
  assert.notDeepEqual(Buffer.from(a), Buffer.from(b));
});

test('both checksums agree', () => {
  for (const text of ['', 'a', 'the quick brown fox']) {
    assert.equal(crc32Portable(Buffer.from(text), 7), crc32(Buffer.from(text), 7));
  }
});
