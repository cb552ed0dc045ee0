import type { Resources } from '../../../proto/index.ts';

/** `linux.resources` of an OCI spec. */
export interface OciResources {
  readonly devices: readonly {
    readonly allow: boolean;
    readonly type?: string;
    readonly major?: number;
    readonly minor?: number;
    readonly access: string;
  }[];
  readonly memory?: { readonly limit: number; readonly swap?: number };
  readonly cpu?: { readonly quota: number; readonly period: number };
  readonly pids?: { readonly limit: number };
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

/** In the words of cgroup v1: runc says them in v2's where that is used. */
export function ociResources(limits: Resources | null, swapLimit: boolean): OciResources {
  const { memoryBytes = 0, nanoCpus = 0, pids = 0 } = limits ?? {};
  const access = 'rwm';
  return {
    devices: [
      { allow: false, access },
      ...DEVICES.map(([major, minor]) => ({ allow: true, type: 'c', major, minor, access })),
      { allow: true, type: 'c', major: PTS_MAJOR, access },
    ],
    ...(memoryBytes > 0
      ? { memory: { limit: memoryBytes, ...(swapLimit ? { swap: memoryBytes } : {}) } }
      : {}),
    ...(nanoCpus > 0 ? { cpu: { quota: quotaOf(nanoCpus), period: CPU_PERIOD_US } } : {}),
    ...(pids > 0 ? { pids: { limit: pids } } : {}),
  };
}

/** The kernel takes no quota under a millisecond. */
function quotaOf(nanoCpus: number): number {
  return Math.max(1_000, Math.round((nanoCpus / 1e9) * CPU_PERIOD_US));
}
