import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Deletes what was compiled under `dist` from a file that is gone: tests would find it, and hide that
 * others miss the file. Bundles are nobody's alone.
 */
export function removeOrphans(root) {
  const dist = join(root, 'dist');
  for (const path of readdirSync(dist, { recursive: true })) {
    if (!path.endsWith('.js') || path.startsWith('bundle')) continue;
    const name = path.slice(0, -'.js'.length);
    if (['.ts', '.js'].some((end) => existsSync(join(root, `${name}${end}`)))) continue;
    for (const end of ['.js', '.js.map', '.d.ts', '.d.ts.map'])
      rmSync(join(dist, `${name}${end}`), { force: true });
  }
}
