import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { SystemClock } from '../../../shared/clock.ts';
import type { Io, RunResult } from '../../io.ts';
import { SystemIo } from '../../system-io.ts';
import { runsX32, x32Program } from './x32.ts';

const io = new SystemIo(new SystemClock());

function kernelThat(result: Partial<RunResult>): Io {
  const run = async () => ({ code: 0, output: '', timedOut: false, ...result });
  return { write() {}, chmod() {}, unlink() {}, run } as unknown as Io;
}

describe('a kernel without x32', () => {
  it('leaves the program to the shell, which ends with 1', async () => {
    assert.equal(await runsX32(kernelThat({ code: 1 }), '/x'), false);
  });
  it('is not assumed where the program could not be tried', async () => {
    assert.equal(await runsX32(kernelThat({ code: -1, output: 'EACCES' }), '/x'), true);
    assert.equal(await runsX32(kernelThat({ code: 0 }), '/x'), true);
    const full = {
      write() {
        throw Object.assign(new Error('no space left'), { code: 'ENOSPC' });
      },
    };
    assert.equal(await runsX32(full as unknown as Io, '/x'), true);
  });
});

describe('the program', () => {
  it('is taken for no script that does anything else, and leaves nothing', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'x32-'));
    try {
      writeFileSync(join(directory, 'script'), x32Program());
      chmodSync(join(directory, 'script'), 0o700);
      const shell = { command: '/bin/sh', args: ['./script'], cwd: directory };
      const { code } = await io.run({ ...shell, timeoutMs: 10_000, outputBytesMax: 1_000 });
      assert.equal(code, 1);
      await runsX32(io, directory);
      assert.deepEqual(readdirSync(directory), ['script']);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
  it('is of the 64-bit instruction set in a file of 32 bits', () => {
    const program = x32Program();
    assert.equal(program.readUInt8(4), 1);
    assert.equal(program.readUInt16LE(0x12), 62);
  });
});
