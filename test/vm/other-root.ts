import { spawn } from 'node:child_process';

const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export interface RootRun {
  /** Lines of shell. The first that fails ends it. */
  readonly script: readonly string[];
  /** What it sees of this machine besides its devices and control groups: path there -> path here. */
  readonly places?: { readonly [there: string]: string };
}

/**
 * Runs shell in another root file system, on this kernel and its network, as the first process of namespaces
 * of its own: with it ends whatever it started. Its output is ours; resolves with its exit code.
 */
export function runInRoot(root: string, { script, places = {} }: RootRun): Promise<number> {
  const lines = [
    'mount --make-rprivate /',
    `mount --bind '${root}' '${root}'`,
    `cd '${root}'`,
    ...Object.entries(places).map(([there, here]) => place(`.${there}`, here)),
    ...ENTER,
    ...script,
  ];
  const namespaces = ['--mount', '--pid', '--ipc', '--uts'];
  const words = [...namespaces, '--fork', '--kill-child', 'sh', '-ec', lines.join('\n')];
  const child = spawn('unshare', words, {
    stdio: ['ignore', 'inherit', 'inherit'],
    // What is missing there is a failure, nothing to be skipped.
    env: { PATH, HOME: '/root', CI: 'true' },
  });
  return new Promise((resolve, reject) => {
    child.on('exit', (code) => resolve(code ?? 1));
    child.on('error', reject);
  });
}

function place(there: string, here: string): string {
  const make = `if [ -d '${here}' ]; then mkdir -p '${there}'; else touch '${there}'; fi`;
  return `${make}; mount --bind '${here}' '${there}'`;
}

const ENTER = [
  'mount -t proc proc proc',
  'mount -t sysfs sysfs sys',
  'mount --rbind /sys/fs/cgroup sys/fs/cgroup',
  'mount --rbind /dev dev',
  'mount -t tmpfs tmpfs run',
  'pivot_root . mnt',
  'cd /',
  'umount -l /mnt',
  // As systemd has it: what is mounted is seen by who came before.
  'mount --make-rshared /',
];
