import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { Position } from '../../proto/index.ts';
import { SystemClock } from '../../shared/clock.ts';
import { SystemIo } from '../system-io.ts';
import { openRecord, RecordFile, sealRecord } from './record-file.ts';

let directory: string;
const io = new SystemIo(new SystemClock());

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'swarm-record-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

describe('record file', () => {
  it('gives back what was written', async () => {
    const file = new RecordFile(io, Position, directory, 'position');
    await file.writeDurably(Position.create({ epoch: 1, term: 2, index: 3 }));
    assert.equal(file.read()?.index, 3);
  });
  it('knows a damaged record', () => {
    const file = new RecordFile(io, Position, directory, 'position');
    file.write(Position.create({ index: 3 }));
    const path = join(directory, 'position');
    const bytes = readFileSync(path);
    bytes[bytes.length - 1]! ^= 1;
    writeFileSync(path, bytes);
    assert.equal(file.read(), undefined);
  });
  it('knows a record that was cut off', () => {
    const sealed = sealRecord(new Uint8Array([1, 2, 3]));
    assert.deepEqual([...openRecord(sealed)!], [1, 2, 3]);
    for (let length = 0; length < sealed.length; length++) {
      assert.equal(openRecord(sealed.subarray(0, length)), undefined);
    }
  });
  it('keeps the newer of two writes when the older waits for the disk', async () => {
    const file = new RecordFile(io, Position, directory, 'position');
    const older = file.writeDurably(Position.create({ index: 1 }));
    file.write(Position.create({ index: 2 }));
    await older;
    assert.equal(file.read()?.index, 2);
  });
});
