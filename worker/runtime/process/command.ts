import { isAbsolute, join } from 'node:path';
import type { Io } from '../../io.ts';
import { RuntimeError } from '../../runtime.ts';

/**
 * The full path of a command, as execvp would find it, so that a missing one is known before
 * anything starts. Throws RuntimeError COMMAND_NOT_FOUND.
 */
export function findCommand(io: Io, name: string, path: string, workdir: string): string {
  if (name.includes('/')) {
    const full = isAbsolute(name) ? name : join(workdir, name);
    if (io.executable(full)) return full;
    const why = io.stat(full) === undefined ? 'does not exist' : 'is not an executable file';
    throw new RuntimeError(
      'COMMAND_NOT_FOUND',
      `${full} ${why} on this node: put it there, or keep the task off this node with --constraint`,
    );
  }
  for (const directory of path.split(':')) {
    if (directory !== '' && io.executable(join(directory, name))) return join(directory, name);
  }
  throw new RuntimeError(
    'COMMAND_NOT_FOUND',
    `${name} is in none of ${path} on this node: install it there, give its full path, ` +
      'or keep the task off this node with --constraint',
  );
}

/** Throws RuntimeError WORKDIR_NOT_FOUND. */
export function checkWorkdir(io: Io, workdir: string): void {
  if (io.stat(workdir)?.directory === true) return;
  throw new RuntimeError(
    'WORKDIR_NOT_FOUND',
    `the working directory ${workdir} does not exist on this node: create it there or change --workdir`,
  );
}
