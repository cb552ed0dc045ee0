import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** What lies beside the daemon's own program, in a clone as in a package. */
export interface Installation {
  /** Programs of ours that every task finds on its PATH. */
  readonly pathDirs: readonly string[];
  readonly netdScript: string;
  /** The helper that works inside tasks. */
  readonly insideScript: string;
}

export function findInstallation(): Installation {
  const here = dirname(fileURLToPath(import.meta.url));
  const bundled = existsSync(join(here, 'netd.mjs'));
  let root = here;
  while (!existsSync(join(root, 'package.json')) && dirname(root) !== root) root = dirname(root);
  return {
    pathDirs: [join(root, 'deploy', 'examples', 'hello')].filter((path) => existsSync(path)),
    netdScript: join(here, bundled ? 'netd.mjs' : 'netd.js'),
    insideScript: join(here, bundled ? 'inside.mjs' : '../worker/inside/main.js'),
  };
}
