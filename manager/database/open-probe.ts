import { spawn } from 'node:child_process';

/** `crashes`: LevelDB ends the process that opens or reads it. `unknown`: it could not be tried. */
export type Examination = 'sound' | 'crashes' | 'unknown';

const SCRIPT = `
const { Level } = await import(process.argv[1]);
const level = new Level(process.argv[2], { keyEncoding: 'buffer', valueEncoding: 'buffer' });
await level.open();
for await (const _ of level.iterator()) {}
await level.close();
`;

/**
 * Opens and reads a LevelDB in a child process. Some damage makes LevelDB abort where it stands;
 * after an opening that did not end, a child finds that out without taking the daemon with it.
 */
export function examineInChild(path: string): Promise<Examination> {
  return new Promise((resolve) => {
    let level: string;
    try {
      level = import.meta.resolve('level');
    } catch {
      resolve('unknown');
      return;
    }
    const args = ['--input-type=module', '-e', SCRIPT, level, path];
    const child = spawn(process.execPath, args, { stdio: 'ignore' });
    child.once('error', () => resolve('unknown'));
    child.once('exit', (code, signal) => {
      const isCrash = signal === 'SIGABRT' || signal === 'SIGSEGV' || signal === 'SIGBUS';
      resolve(isCrash ? 'crashes' : code === 0 ? 'sound' : 'unknown');
    });
  });
}
