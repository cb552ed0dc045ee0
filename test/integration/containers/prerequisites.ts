import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Why containers can't be tested here; empty: they can. With CI=true a missing thing is an error. */
export function missingForContainers(more: readonly string[] = []): string {
  const missing = [
    ...(process.getuid?.() === 0 ? [] : ['root']),
    ...[
      'containerd',
      'containerd-shim-runc-v2',
      'runc',
      'ip',
      'nft',
      'nsenter',
      'flock',
      ...more,
    ].filter((name) => !onPath(name)),
    ...(existsSync('/bin/busybox') ? [] : ['busybox-static']),
  ];
  if (missing.length === 0) return '';
  const text = `containers are not tested: ${missing.join(', ')} missing (deploy/install-deps --test)`;
  if (process.env['CI'] === 'true') throw new Error(text);
  return text;
}

function onPath(name: string): boolean {
  const directories = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  return directories.some((directory) => {
    try {
      accessSync(join(directory, name), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
