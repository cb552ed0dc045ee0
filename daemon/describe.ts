import { existsSync, readFileSync } from 'node:fs';
import { arch, availableParallelism, hostname, networkInterfaces, totalmem } from 'node:os';
import { NodeDescription } from '../proto/index.ts';
import { VERSION } from '../shared/version.ts';
import { IPV6 } from '../worker/network/router/names.ts';
import { hostRoutes } from './host-routes.ts';
import type { OverlayTier } from './overlay-tier.ts';

const ARCHITECTURES: { readonly [node: string]: string } = { x64: 'x86_64', arm64: 'aarch64' };

/** What this machine is and can do without its runtimes. The key is the public one. */
export function describeNode(
  nodeName: string,
  overlay: OverlayTier,
  offer: {
    readonly bindRoots: readonly string[];
    readonly generic: { readonly [kind: string]: number };
    readonly wireguardKey: string;
  },
): NodeDescription {
  return NodeDescription.create({
    hostname: nodeName,
    os: 'linux',
    architecture: ARCHITECTURES[arch()] ?? arch(),
    resources: {
      nanoCpus: availableParallelism() * 1e9,
      memoryBytes: memoryBytes(),
      generic: offer.generic,
    },
    bindRoots: offer.bindRoots,
    features: networkFeatures(overlay),
    versionText: VERSION,
    protocol: 1,
    ...hostPlaces(),
    ...(overlay.found
      ? { mtu: overlay.mtu, dataAddress: overlay.dataAddress, wireguardKey: offer.wireguardKey }
      : {}),
  });
}

function networkFeatures(overlay: OverlayTier): { [key: string]: string } {
  if (!overlay.found) return { network: 'proxy', 'network-reason': overlay.why };
  const { tunnel } = overlay;
  return {
    network: 'overlay',
    ...(existsSync(IPV6) ? {} : { ipv6: 'none' }),
    encryption: tunnel.found ? tunnel.kind : 'none',
    ...(tunnel.found ? {} : { 'encryption-reason': tunnel.why }),
  };
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

/** Where this host is, and what it routes by itself. */
export function hostPlaces() {
  return { addresses: addresses(), routes: hostRoutes() };
}

/** Without those on devices that nodes make. */
function addresses(): string[] {
  return Object.entries(networkInterfaces())
    .flatMap(([device, list]) => (/^sw[ug]/.test(device) ? [] : (list ?? [])))
    .filter((a) => !a.internal && !a.address.startsWith('fe80'))
    .map((a) => a.address);
}
