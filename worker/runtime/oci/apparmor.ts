import type { Io } from '../../io.ts';
import { RuntimeError } from '../../runtime.ts';

/** Ours, and Docker's, which is the same in effect and is there where a dockerd loaded it. */
const OWN = 'swarm-default';
const DEFAULTS = [OWN, 'docker-default'];
const UNCONFINED = 'unconfined';
const PARSER_MS = 30_000;

/**
 * What a container may do that has no profile of its own: what Docker lets its containers do, as facts.
 * Everything is allowed but mounts, the switches of the kernel in /proc and /sys (what a container may
 * change under /proc/sys/kernel are the shm* that belong to its own namespace), and signals and traces
 * beyond its own processes.
 */
export const OWN_PROFILE = `#include <tunables/global>

profile ${OWN} flags=(attach_disconnected,mediate_deleted) {
  #include <abstractions/base>

  capability,
  file,
  network,
  umount,

  # From those who start and stop it, and among its own.
  signal (receive) peer=unconfined,
  signal (receive) peer=runc,
  signal (receive) peer=crun,
  signal (send, receive) peer=${OWN},
  ptrace (trace, read, tracedby, readby) peer=${OWN},

  deny mount,

  # In /proc it writes to processes (their folders are numbers) and to kernel/shm*.
  deny /proc/* w,
  deny /proc/[^0-9s]*/** w,
  deny /proc/s[^y]*/** w,
  deny /proc/sy[^s]*/** w,
  deny /proc/sys/[^k]** w,
  deny /proc/sys/k[^e]** w,
  deny /proc/sys/kernel/[^s]** w,
  deny /proc/sys/kernel/s[^h]** w,
  deny /proc/sys/kernel/sh[^m]** w,
  deny /proc/kcore rwklx,
  deny /proc/sysrq-trigger rwklx,

  # In /sys it writes to nothing but control groups.
  deny /sys/[^f]** wklx,
  deny /sys/f[^s]** wklx,
  deny /sys/fs/[^c]** wklx,
  deny /sys/fs/c[^g]** wklx,
  deny /sys/fs/cg[^r]** wklx,
  deny /sys/firmware/** rwklx,
  deny /sys/devices/virtual/powercap/** rwklx,
  deny /sys/kernel/security/** rwklx,
}
`;

/** `asked`: by its spec; empty: nothing. Undefined: none. Throws for one that is not loaded. */
export function profileFor(
  { asked, privileged }: { readonly asked: string; readonly privileged: boolean },
  loaded: ReadonlySet<string>,
): string | undefined {
  if (asked === UNCONFINED || (privileged && asked === '')) return undefined;
  const ours = DEFAULTS.find((name) => loaded.has(name));
  if (asked === '') return ours;
  if (loaded.has(asked)) return asked;
  if (DEFAULTS.includes(asked) && ours !== undefined) return ours;
  throw new RuntimeError(
    'INVALID_SPEC',
    `the AppArmor profile ${asked} is not loaded on this node`,
  );
}

/** Names of profiles that the kernel has; none where it has no AppArmor. */
export function loadedProfiles(io: Pick<Io, 'read'>): ReadonlySet<string> {
  const text = io.read('/sys/kernel/security/apparmor/profiles')?.toString('utf8') ?? '';
  const names = text.split('\n').map((line) => line.trim().replace(/ \([a-z]+\)$/, ''));
  return new Set(names.filter((name) => name !== ''));
}

/**
 * Loads ours where AppArmor is and has neither: no machine keeps it over its next start. Resolves with
 * why it could not be; empty: one is there, or there is no AppArmor.
 */
export async function loadOwnProfile(io: Pick<Io, 'read' | 'run'>): Promise<string> {
  const enabled = io.read('/sys/module/apparmor/parameters/enabled')?.toString('utf8') ?? '';
  const loaded = loadedProfiles(io);
  if (!enabled.startsWith('Y') || DEFAULTS.some((name) => loaded.has(name))) return '';
  const { code, output } = await io.run({
    command: 'apparmor_parser',
    args: ['--skip-cache', '--replace'],
    input: OWN_PROFILE,
    timeoutMs: PARSER_MS,
    outputBytesMax: 1_000,
  });
  return code === 0 ? '' : output.trim() || `apparmor_parser: exit code ${code}`;
}
