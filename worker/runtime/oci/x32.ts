import { join } from 'node:path';
import type { Io } from '../../io.ts';

/** Where its machine code lies, after the headers. */
const ENTRY = 0x54;
const BASE = 0x40_0000;

/**
 * A whole program of x32, the 64-bit instruction set with 32-bit addresses: it ends with 0. A kernel that
 * can't run it leaves it to the shell, as scripts without `#!` are, which finds `exit 1` in the part of
 * the header that means nothing.
 */
export function x32Program(): Buffer {
  // exit_group(0), by its number of x32.
  const code = Buffer.from('b8e700004031ff0f05', 'hex');
  const program = Buffer.alloc(ENTRY + code.length);
  program.write('\x7fELF\x01\x01\x01\x00\nexit 1\n', 0, 'latin1');
  const [executable, x86Of64Bits, version] = [2, 62, 1];
  program.writeUInt16LE(executable, 0x10);
  program.writeUInt16LE(x86Of64Bits, 0x12);
  program.writeUInt32LE(version, 0x14);
  program.writeUInt32LE(BASE + ENTRY, 0x18);
  const [headerBytes, segmentBytes] = [0x34, 0x20];
  program.writeUInt32LE(headerBytes, 0x1c);
  program.writeUInt16LE(headerBytes, 0x28);
  program.writeUInt16LE(segmentBytes, 0x2a);
  program.writeUInt16LE(1, 0x2c);
  // One segment: all of the file, to be read and executed.
  const [load, readExecute, page] = [1, 5, 0x1000];
  const segment = [load, 0, BASE, BASE, program.length, program.length, readExecute, page];
  for (const [at, word] of segment.entries()) program.writeUInt32LE(word, headerBytes + 4 * at);
  code.copy(program, ENTRY);
  return program;
}

/**
 * Whether this kernel runs programs of x32; true as well where that can't be tried. Most kernels do not,
 * and a filter of system calls that covers x32 takes twice as long to make, at each start of a container.
 */
export async function runsX32(io: Io, directory: string): Promise<boolean> {
  const command = join(directory, 'x32');
  try {
    io.write(command, x32Program());
    io.chmod(command, 0o700);
    const limits = { timeoutMs: 5_000, outputBytesMax: 1_000 };
    const { code } = await io.run({ command, args: [], cwd: directory, ...limits });
    io.unlink(command);
    return code !== 1;
  } catch {
    // A full disk: containers are adopted and started all the same.
    return true;
  }
}
