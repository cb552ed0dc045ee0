import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Where this program lies, and what lies beside it: a clone or an unpacked package. */
export interface Installation {
  readonly root: string;
  readonly isClone: boolean;
  /** The daemon's main. */
  readonly daemon: string;
}

/** Goes up from this file to the folder that holds `dist/` (the same in a clone and a package). */
export function findInstallation(start = dirname(fileURLToPath(import.meta.url))): Installation {
  let root = start;
  while (!existsSync(join(root, 'package.json')) && dirname(root) !== root) root = dirname(root);
  const bundled = join(root, 'dist', 'bundle', 'swarmd.mjs');
  return {
    root,
    isClone: existsSync(join(root, 'deploy', 'run.mjs')),
    daemon: existsSync(bundled) ? bundled : join(root, 'dist', 'daemon', 'swarmd.js'),
  };
}
