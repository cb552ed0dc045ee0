/** What Docker gives every container, without CAP_. */
const DEFAULT_CAPABILITIES: readonly string[] = [
  'CHOWN',
  'DAC_OVERRIDE',
  'FSETID',
  'FOWNER',
  'MKNOD',
  'NET_RAW',
  'SETGID',
  'SETUID',
  'SETFCAP',
  'SETPCAP',
  'NET_BIND_SERVICE',
  'SYS_CHROOT',
  'KILL',
  'AUDIT_WRITE',
];

/** All that Linux knows, without CAP_, in the order of their numbers. */
const ALL_CAPABILITIES: readonly string[] = (
  'CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE ' +
  'NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO ' +
  'SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME ' +
  'SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG ' +
  'WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE'
).split(' ');

/** Those that a process may have by its /proc/PID/status: nobody can give more. */
export function boundCapabilities(status: string): readonly string[] {
  const mask = BigInt(`0x${/^CapBnd:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`);
  return ALL_CAPABILITIES.filter((_name, at) => ((mask >> BigInt(at)) & 1n) === 1n);
}

/** As Docker: ALL added, all but those dropped; ALL dropped, only those added. `all`: what ALL is here. */
export function capabilitySet(
  added: readonly string[],
  dropped: readonly string[],
  all: readonly string[],
): ReadonlySet<string> {
  const [add, drop] = [added.map(plain), dropped.map(plain)];
  const base = add.includes('ALL') ? all : drop.includes('ALL') ? [] : DEFAULT_CAPABILITIES;
  const set = new Set([...base, ...add.filter((name) => name !== 'ALL')]);
  for (const name of drop) if (!add.includes(name)) set.delete(name);
  return set;
}

/** Unknown to Linux: a typing error. */
export function unknownCapability(names: readonly string[]): string | undefined {
  return names.find((name) => plain(name) !== 'ALL' && !ALL_CAPABILITIES.includes(plain(name)));
}

function plain(name: string): string {
  return name.toUpperCase().replace(/^CAP_/, '');
}
