/** What Docker gives every container, without CAP_. */
export const DEFAULT_CAPABILITIES: readonly string[] = [
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

const ALL_CAPABILITIES: readonly string[] = (
  'AUDIT_CONTROL AUDIT_READ AUDIT_WRITE BLOCK_SUSPEND BPF CHECKPOINT_RESTORE CHOWN DAC_OVERRIDE ' +
  'DAC_READ_SEARCH FOWNER FSETID IPC_LOCK IPC_OWNER KILL LEASE LINUX_IMMUTABLE MAC_ADMIN ' +
  'MAC_OVERRIDE MKNOD NET_ADMIN NET_BIND_SERVICE NET_BROADCAST NET_RAW PERFMON SETFCAP SETGID ' +
  'SETPCAP SETUID SYSLOG SYS_ADMIN SYS_BOOT SYS_CHROOT SYS_MODULE SYS_NICE SYS_PACCT SYS_PTRACE ' +
  'SYS_RAWIO SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG WAKE_ALARM'
).split(' ');

/** As Docker: ALL added, all but those dropped; ALL dropped, only those added. */
export function capabilitySet(
  added: readonly string[],
  dropped: readonly string[],
): ReadonlySet<string> {
  const [add, drop] = [added.map(plain), dropped.map(plain)];
  const base = add.includes('ALL')
    ? ALL_CAPABILITIES
    : drop.includes('ALL')
      ? []
      : DEFAULT_CAPABILITIES;
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
