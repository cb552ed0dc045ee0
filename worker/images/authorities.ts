import { join } from 'node:path';
import type { Io } from '../runtime/io.ts';

/** Where containerd and Docker look for authorities of one registry. */
const DIRECTORIES = ['/etc/containerd/certs.d', '/etc/docker/certs.d'];

/** PEM of the authorities that an operator gave for this registry; undefined: none. */
export function registryAuthorities(io: Io, host: string): string | undefined {
  const found = DIRECTORIES.flatMap((directory) => {
    const place = join(directory, host);
    const names = io.list(place).filter((name) => name.endsWith('.crt'));
    return names.flatMap((name) => io.read(join(place, name))?.toString('utf8') ?? []);
  });
  return found.length > 0 ? found.join('\n') : undefined;
}
