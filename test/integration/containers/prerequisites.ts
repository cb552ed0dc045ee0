import { existsSync } from 'node:fs';
import { missingPrograms } from '../../support/programs.ts';

const PROGRAMS = ['containerd', 'containerd-shim-runc-v2', 'runc', 'ip', 'nft', 'nsenter', 'flock'];

/** Why containers can't be tested here; empty: they can. With CI=true a missing thing is an error. */
export function missingForContainers(more: readonly string[] = []): string {
  const missing = [
    ...(process.getuid?.() === 0 ? [] : ['root']),
    ...missingPrograms([...PROGRAMS, ...more]),
    ...(existsSync('/bin/busybox') ? [] : ['busybox-static']),
  ];
  if (missing.length === 0) return '';
  const text = `containers are not tested: ${missing.join(', ')} missing (deploy/install-deps --test)`;
  if (process.env['CI'] === 'true') throw new Error(text);
  return text;
}
