import { readFileSync } from 'node:fs';
import { arch, availableParallelism, hostname, networkInterfaces, totalmem } from 'node:os';
import { NodeDescription } from '../proto/index.ts';
import { VERSION } from '../shared/version.ts';
import type { RuntimeFeatures } from '../worker/runtime/runtime.ts';
import { hostRoutes } from './host-routes.ts';

const ARCHITECTURES: { readonly [node: string]: string } = { x64: 'x86_64', arm64: 'aarch64' };

/** What this machine is and can do, as the scheduler filters on it. */
export function describeNode(
  nodeName: string,
  runtimes: readonly RuntimeFeatures[],
  networkTier: string,
): NodeDescription {
  const features: { [key: string]: string } = { network: networkTier };
  for (const runtime of runtimes) Object.assign(features, runtime.features);
  return NodeDescription.create({
    hostname: nodeName,
    os: 'linux',
    architecture: ARCHITECTURES[arch()] ?? arch(),
    resources: { nanoCpus: availableParallelism() * 1e9, memoryBytes: memoryBytes() },
    runtimes: runtimes.map((runtime) => runtime.runtime),
    features,
    versionText: VERSION,
    addresses: addresses(),
    routes: hostRoutes(),
    protocol: 1,
  });
}

export function hostName(): string {
  return hostname().split('.')[0] || 'node';
}

/** The machine's memory, or less where a cgroup says so. */
function memoryBytes(): number {
  for (const path of ['/sys/fs/cgroup/memory.max', '/sys/fs/cgroup/memory/memory.limit_in_bytes']) {
    try {
      const limit = Number(readFileSync(path, 'utf8').trim());
      if (Number.isFinite(limit) && limit > 0) return Math.min(limit, totalmem());
    } catch {
      // The other hierarchy.
    }
  }
  return totalmem();
}

function addresses(): string[] {
  return Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .filter((a) => !a.internal && !a.address.startsWith('fe80'))
    .map((a) => a.address);
}
