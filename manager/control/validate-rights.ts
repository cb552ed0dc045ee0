import type { ContainerSpec, Device, Resources } from '../../proto/index.ts';
import { isOwnSysctl, OWN_SYSCTLS_TEXT } from '../../shared/host-access.ts';
import { LIMITS } from '../../shared/limits.ts';
import { parseSeccomp } from '../../shared/seccomp-profile.ts';
import { check, checkText, invalid } from './field.ts';

/** What a container may do and how much it weighs. Whether it may have that: see `refuseHostAccess`. */
export function validateRights(spec: ContainerSpec): void {
  validateDevices(spec.devices);
  for (const key of Object.keys(spec.sysctls))
    check(
      isOwnSysctl(key),
      'sysctls',
      `${key} belongs to the whole node, not to one container`,
      OWN_SYSCTLS_TEXT,
    );
  validateSeccomp(spec.seccomp);
  check(
    /^[\w./@{}:+-]{0,200}$/.test(spec.apparmor),
    'apparmor',
    `"${spec.apparmor.slice(0, 100)}" is no name of a profile`,
    'the name of a profile that is loaded on the nodes, or unconfined',
  );
  validateWeights(spec);
}

/** What needs the limits of the task as well. */
export function validateSwap(spec: ContainerSpec, limits: Resources | null): void {
  const { swapBytes } = spec;
  check(swapBytes >= -1, 'swap', `${swapBytes} bytes`, 'bytes beyond the limit of memory, or -1');
  check(
    swapBytes === 0 || (limits?.memoryBytes ?? 0) > 0,
    'swap',
    'there is no limit of memory',
    '--memory-swap with --limit-memory',
  );
}

function validateDevices(devices: readonly Device[]): void {
  const targets = new Set<string>();
  check(
    devices.length <= LIMITS.devicesMax,
    'devices',
    `${devices.length} devices`,
    `at most ${LIMITS.devicesMax}`,
  );
  for (const { host, target, permissions } of devices) {
    for (const path of [host, target]) {
      check(
        path.startsWith('/'),
        'devices',
        `"${path}" is not absolute`,
        'a path such as /dev/kvm',
      );
      checkText(path, 'devices');
    }
    check(
      /^[rwm]{1,3}$/.test(permissions),
      'devices',
      `"${permissions}" are no permissions`,
      'out of r (read), w (write) and m (make)',
    );
    check(!targets.has(target), 'devices', `${target} is given twice`, 'each path once');
    targets.add(target);
  }
}

function validateSeccomp(profile: string): void {
  if (profile === '' || profile === 'unconfined') return;
  check(
    Buffer.byteLength(profile) <= LIMITS.seccompBytesMax,
    'seccomp',
    `${Buffer.byteLength(profile)} bytes`,
    `at most ${LIMITS.seccompBytesMax} bytes`,
  );
  try {
    parseSeccomp(profile);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw invalid('seccomp', why, "a profile in Docker's JSON form, or unconfined");
  }
}

function validateWeights({ swappiness, cpuShares, blkioWeight }: ContainerSpec): void {
  check((swappiness?.percent ?? 0) <= 100, 'swappiness', `${swappiness?.percent}`, '0 to 100');
  check(
    cpuShares === 0 || (cpuShares >= 2 && cpuShares <= 262_144),
    'cpu_shares',
    `${cpuShares}`,
    '2 to 262144, or 0 for the default',
  );
  check(
    blkioWeight === 0 || (blkioWeight >= 10 && blkioWeight <= 1_000),
    'blkio_weight',
    `${blkioWeight}`,
    '10 to 1000, or 0 for the default',
  );
}
