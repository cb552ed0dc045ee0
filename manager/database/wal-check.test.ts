import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { crc32c, hidesRecords } from './wal-check.ts';

/** One whole record in LevelDB's form. */
function record(payload: string, type = 1): Buffer {
  const out = Buffer.alloc(7 + payload.length);
  out.write(payload, 7);
  out[6] = type;
  out.writeUInt16LE(payload.length, 4);
  const crc = crc32c(out.subarray(6));
  out.writeUInt32LE((((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0, 0);
  return out;
}

describe('the end of a LevelDB log', () => {
  const records = ['first record', 'second record', 'third record'].map((text) => record(text));
  const log = Buffer.concat(records);

  test('the checksum is that of the published test vector', () => {
    assert.equal(crc32c(Buffer.from('123456789')), 0xe3069283);
  });

  test('an intact log hides nothing', () => {
    assert.equal(hidesRecords(log), false);
    assert.equal(hidesRecords(Buffer.alloc(0)), false);
  });

  test('a log that was cut anywhere hides nothing', () => {
    for (let length = 0; length < log.length; length++) {
      assert.equal(hidesRecords(log.subarray(0, length)), false, `cut at ${length}`);
    }
  });

  test('a tail of zeros hides nothing', () => {
    assert.equal(hidesRecords(Buffer.concat([log, Buffer.alloc(500)])), false);
  });

  test('a length that grew beyond the end is found in every record, the last one too', () => {
    let at = 0;
    for (const { length } of records) {
      const changed = Buffer.from(log);
      changed[at + 5]! ^= 0x10;
      assert.equal(hidesRecords(changed), true, `record at ${at}`);
      at += length;
    }
  });

  test('pieces of the one torn write are not taken for another', () => {
    const torn = Buffer.concat([
      log,
      Buffer.alloc(40),
      record('its middle', 3),
      record('its end', 4),
    ]);
    assert.equal(hidesRecords(torn), false);
  });

  test('a write behind a hole is found', () => {
    assert.equal(hidesRecords(Buffer.concat([log, Buffer.alloc(40), record('later')])), true);
  });
});
