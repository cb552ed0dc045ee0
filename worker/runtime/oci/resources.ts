import type { ContainerSpec, Resources } from '../../../proto/index.ts';
import type { OciDevice } from './devices.ts';

/** `linux.resources` of an OCI spec. */
export interface OciResources {
  readonly devices: readonly {
    readonly allow: boolean;
    readonly type?: string;
    readonly major?: number;
    readonly minor?: number;
    readonly access: string;
  }[];
  readonly memory?: {
    readonly limit?: number;
    readonly swap?: number;
    readonly swappiness?: number;
  };
  readonly cpu?: { readonly shares?: number; readonly quota?: number; readonly period?: number };
  readonly pids?: { readonly limit: number };
  readonly blockIO?: { readonly weight: number };
}

/** What the kernel of this machine lets be set for a container. */
export interface KernelKnobs {
  /** It counts swap, so that a limit can hold for memory and swap. */
  readonly swapLimit: boolean;
  readonly swappiness: boolean;
  readonly blkioWeight: boolean;
}

const CPU_PERIOD_US = 100_000;
/** null, zero, full, random, urandom, tty, console, ptmx; pseudo terminals follow. */
const DEVICES = [
  [1, 3],
  [1, 5],
  [1, 7],
  [1, 8],
  [1, 9],
  [5, 0],
  [5, 1],
  [5, 2],
] as const;
const PTS_MAJOR = 136;
const ALL_ACCESS = 'rwm';

/** In the words of cgroup v1: runc says them in v2's where that is used. */
export function ociResources(
  limits: Resources | null,
  spec: ContainerSpec,
  knobs: KernelKnobs,
  devices: readonly OciDevice[],
): OciResources {
  const { pids = 0 } = limits ?? {};
  const memory = memoryOf(limits?.memoryBytes ?? 0, spec, knobs);
  const cpu = cpuOf(limits?.nanoCpus ?? 0, spec.cpuShares);
  const weight = knobs.blkioWeight ? spec.blkioWeight : 0;
  return {
    devices: spec.privileged ? [{ allow: true, access: ALL_ACCESS }] : allowedDevices(devices),
    ...(Object.keys(memory).length > 0 ? { memory } : {}),
    ...(Object.keys(cpu).length > 0 ? { cpu } : {}),
    ...(pids > 0 ? { pids: { limit: pids } } : {}),
    ...(weight > 0 ? { blockIO: { weight } } : {}),
  };
}

/** What is asked for and can't be had here; empty: nothing. */
export function missingKnobs(spec: ContainerSpec, knobs: KernelKnobs): string {
  const missing = [
    ...(!knobs.swapLimit && spec.swapBytes !== 0 ? ['--memory-swap'] : []),
    ...(!knobs.swappiness && spec.swappiness !== null ? ['--memory-swappiness'] : []),
    ...(!knobs.blkioWeight && spec.blkioWeight > 0 ? ['--blkio-weight'] : []),
  ];
  return missing.length === 0 ? '' : `this node's kernel has not: ${missing.join(', ')}`;
}

function allowedDevices(devices: readonly OciDevice[]): OciResources['devices'] {
  return [
    { allow: false, access: ALL_ACCESS },
    ...DEVICES.map(([major, minor]) => {
      return { allow: true, type: 'c', major, minor, access: ALL_ACCESS };
    }),
    { allow: true, type: 'c', major: PTS_MAJOR, access: ALL_ACCESS },
    ...devices.map(({ type, major, minor, access }) => ({
      allow: true,
      type,
      major,
      minor,
      access,
    })),
  ];
}

function memoryOf(limit: number, { swapBytes, swappiness }: ContainerSpec, knobs: KernelKnobs) {
  const swap = swapBytes < 0 ? -1 : limit + swapBytes;
  return {
    ...(limit > 0 ? { limit, ...(knobs.swapLimit ? { swap } : {}) } : {}),
    ...(swappiness !== null && knobs.swappiness ? { swappiness: swappiness.percent } : {}),
  };
}

function cpuOf(nanoCpus: number, shares: number) {
  return {
    ...(shares > 0 ? { shares } : {}),
    ...(nanoCpus > 0 ? { quota: quotaOf(nanoCpus), period: CPU_PERIOD_US } : {}),
  };
}

/** The kernel takes no quota under a millisecond. */
function quotaOf(nanoCpus: number): number {
  return Math.max(1_000, Math.round((nanoCpus / 1e9) * CPU_PERIOD_US));
}
