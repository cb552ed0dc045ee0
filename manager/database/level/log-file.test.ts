import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { crc32c, masked } from './crc32c.ts';
import { scanLog } from './log-file.ts';

/** One record, or a piece of one, in LevelDB's form. */
function record(payload: string, type = 1): Buffer {
  const out = Buffer.alloc(7 + payload.length);
  out.write(payload, 7);
  out[6] = type;
  out.writeUInt16LE(payload.length, 4);
  out.writeUInt32LE(masked(crc32c(out, 6)), 0);
  return out;
}

describe('a log of LevelDB', () => {
  const records = ['first record', 'second record', 'third record'].map((text) => record(text));
  const log = Buffer.concat(records);

  test('the checksum is that of the published test vector', () => {
    assert.equal(crc32c(Buffer.from('123456789')), 0xe3069283);
  });

  test('an intact log gives its records', () => {
    const found: string[] = [];
    assert.equal(
      scanLog(log, (r) => found.push(r.toString())),
      'whole',
    );
    assert.deepEqual(found, ['first record', 'second record', 'third record']);
    assert.equal(scanLog(Buffer.alloc(0)), 'whole');
  });

  test('a record over two blocks is put together', () => {
    const most = 'x'.repeat(32_768 - 7);
    const long = Buffer.concat([record(most, 2), record('its end', 4)]);
    const found: string[] = [];
    assert.equal(
      scanLog(long, (r) => found.push(r.toString())),
      'whole',
    );
    assert.deepEqual(found, [`${most}its end`]);
    assert.equal(scanLog(long.subarray(0, 32_768)), 'torn');
  });

  test('a log that was cut anywhere is torn, and whole between two records', () => {
    const ends = [0, 19, 39, 58];
    for (let length = 0; length < log.length; length++) {
      const expected = ends.includes(length) ? 'whole' : 'torn';
      assert.equal(scanLog(log.subarray(0, length)), expected, `cut at ${length}`);
    }
  });

  test('one flipped bit is found in every byte, the last record included', () => {
    for (let at = 0; at < log.length; at++) {
      const changed = Buffer.from(log);
      changed[at]! ^= 1 << (at % 8);
      assert.equal(scanLog(changed), 'damaged', `byte ${at}`);
    }
  });

  test('a length that grew beyond the end is found in every record, the last one too', () => {
    let at = 0;
    for (const { length } of records) {
      const changed = Buffer.from(log);
      changed[at + 5]! ^= 0x10;
      assert.equal(scanLog(changed), 'damaged', `record at ${at}`);
      at += length;
    }
  });

  test('zeros were never written', () => {
    assert.equal(scanLog(Buffer.concat([log, Buffer.alloc(500)])), 'damaged');
  });

  test('a write behind a hole is found', () => {
    assert.equal(scanLog(Buffer.concat([log, Buffer.alloc(40), record('later')])), 'damaged');
  });

  test('pieces that do not follow each other are found', () => {
    assert.equal(scanLog(Buffer.concat([log, record('middle', 3)])), 'damaged');
    assert.equal(scanLog(Buffer.concat([record('first', 2), log])), 'damaged');
  });
});
