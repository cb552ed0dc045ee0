import { execFile } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { ROOT, run, tempDir } from '../support/swarm.ts';

/** Rejects when the program fails. */
export const exec = promisify(execFile);
/** Of Debian. Kept between runs. */
const KERNEL = 'linux-image-cloud-amd64';
/** What was downloaded is kept here between runs. */
export const KEPT_IN = join(ROOT, 'node_modules', '.cache');
const KEPT = join(KEPT_IN, 'swarm-vm');
/** Directories of kernel modules that a guest gets: networking and what encrypts. */
const MODULES = ['arch', 'crypto', 'lib', 'net', 'drivers/net/wireguard', 'drivers/net/vxlan'];
const MODULE_FILES = ['drivers/net/veth.ko'];
const BEGIN = '=== begin';
const END = '=== end';

export interface GuestFile {
  readonly path: string;
  readonly content: string | Buffer;
}

export interface GuestRun {
  /** Of shell. */
  readonly script: string;
  /** Of this machine, which are there beside busybox. */
  readonly programs: readonly string[];
  readonly files?: readonly GuestFile[];
  /** What its kernel is told at its start. */
  readonly bootWords?: string;
}

export interface GuestRan {
  readonly code: number;
  readonly output: string;
  /** Its version. */
  readonly kernel: string;
}

const BOOT_MS = 300_000;

/**
 * Runs a script as the only program of a machine of its own, with another kernel than this one, emulated
 * where nothing else is to be had. Resolves with its exit code and what it printed.
 */
export async function runInGuest(given: GuestRun): Promise<GuestRan> {
  const { script, programs, files = [], bootWords = '' } = given;
  const kernel = await kernelOfDebian();
  const directory = tempDir();
  try {
    const root = join(directory.path, 'root');
    await furnish(root, kernel, programs);
    const own = [
      { path: '/init', content: INIT },
      { path: '/script', content: script },
    ];
    for (const { path, content } of [...files, ...own]) {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), content, { mode: 0o700 });
    }
    const image = join(directory.path, 'initramfs');
    await must('sh', [
      '-c',
      `cd '${root}' && find . | busybox cpio -o -H newc 2>/dev/null | gzip -1 >'${image}'`,
    ]);
    const console = join(directory.path, 'console');
    await boot(kernel.image, image, { console, bootWords });
    return { ...readConsole(readFileSync(console, 'utf8')), kernel: kernel.version };
  } finally {
    directory.remove();
  }
}

export interface KernelFiles {
  readonly version: string;
  readonly image: string;
  readonly modules: string;
}

/** As the package has it: nothing of it is installed. */
export async function kernelOfDebian(): Promise<KernelFiles> {
  if (!existsSync(join(KEPT, 'boot'))) {
    rmSync(KEPT, { recursive: true, force: true });
    mkdirSync(KEPT, { recursive: true });
    const { stdout } = await exec('apt-cache', ['depends', '--important', KERNEL]);
    const name = /Depends: (linux-image-\S+)/.exec(stdout)?.[1];
    if (name === undefined) throw new Error(`apt knows no ${KERNEL}: apt-get update`);
    await exec('apt-get', ['download', '-qq', name], { cwd: KEPT });
    const file = readdirSync(KEPT).find((each) => each.endsWith('.deb'))!;
    await exec('dpkg-deb', ['-x', join(KEPT, file), KEPT]);
  }
  const modules = join(KEPT, 'lib', 'modules');
  const version = readdirSync(modules)[0]!;
  return {
    version,
    image: join(KEPT, 'boot', `vmlinuz-${version}`),
    modules: join(modules, version),
  };
}

async function furnish(
  root: string,
  { version, modules }: KernelFiles,
  programs: readonly string[],
): Promise<void> {
  for (const name of ['bin', 'sbin', 'dev', 'proc', 'sys', 'run/netns', 'tmp', 'var'])
    mkdirSync(join(root, name), { recursive: true });
  symlinkSync('../run', join(root, 'var', 'run'));
  const busybox = await where('busybox');
  copyFileSync(busybox, join(root, 'bin', 'busybox'));
  const { stdout } = await exec(busybox, ['--list']);
  for (const name of stdout.trim().split('\n'))
    if (name !== 'busybox') symlinkSync('busybox', join(root, 'bin', name));
  symlinkSync('../bin/busybox', join(root, 'sbin', 'modprobe'));
  // Busybox's own shell would run its own `ip`.
  for (const name of ['sh', ...programs]) await copyProgram(root, await where(name));
  const kept = join(root, 'lib', 'modules', version);
  for (const name of [...MODULES, ...MODULE_FILES])
    cpSync(join(modules, 'kernel', name), join(kept, 'kernel', name), { recursive: true });
  for (const name of ['modules.order', 'modules.builtin'])
    copyFileSync(join(modules, name), join(kept, name));
  await exec(busybox, ['depmod', '-b', root, version], { cwd: root });
}

/** A program of this machine with its libraries; it hides busybox's own. */
export async function copyProgram(root: string, path: string): Promise<void> {
  const { stdout } = await exec('ldd', [path]);
  const libraries = [...stdout.matchAll(/(\/\S+) \(0x/g)].map((match) => match[1]!);
  for (const from of libraries) {
    const to = join(root, from);
    mkdirSync(dirname(to), { recursive: true });
    if (!existsSync(to)) copyFileSync(from, to);
  }
  const to = join(root, 'bin', basename(path));
  rmSync(to, { force: true });
  copyFileSync(path, to);
  chmodSync(to, 0o755);
}

/** The first program of a guest. Its last words say how it ended: the machine itself has no exit code. */
const INIT = `#!/bin/sh
export PATH=/bin:/sbin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmpfs /run
mkdir -p /run/netns
echo '${BEGIN}'
sh /script </dev/null 2>&1
echo '${END}' $?
poweroff -f
`;

/** Its console is a file: a pipe that is full loses what is written. */
async function boot(
  kernel: string,
  image: string,
  { console, bootWords }: { readonly console: string; readonly bootWords: string },
): Promise<void> {
  const words = [
    ...['-accel', 'tcg', '-m', '512', '-nographic', '-no-reboot', '-nodefaults'],
    ...['-serial', `file:${console}`, '-kernel', kernel, '-initrd', image],
    // Its own test of the timer fails where this machine is busy.
    ...['-append', `console=ttyS0 quiet panic=-1 loglevel=4 no_timer_check ${bootWords}`],
  ];
  await run('qemu-system-x86_64', words, { timeoutMs: BOOT_MS });
}

function readConsole(text: string): { readonly code: number; readonly output: string } {
  const lines = text.replaceAll('\r', '').split('\n');
  const begin = lines.findIndex((line) => line.endsWith(BEGIN));
  const end = lines.findIndex((line) => line.startsWith(END));
  if (begin < 0 || end < 0) throw new Error(`the guest did not come to its end:\n${text}`);
  const code = Number(lines[end]!.slice(END.length));
  return { code, output: lines.slice(begin + 1, end).join('\n') };
}

async function where(program: string): Promise<string> {
  const path = `${process.env['PATH']}:/usr/sbin:/sbin`;
  const { stdout } = await exec('sh', ['-c', `command -v ${program}`], {
    env: { ...process.env, PATH: path },
  }).catch(() => ({ stdout: '' }));
  if (stdout === '') throw new Error(`${program} is not installed`);
  return stdout.trim();
}

/** Throws what it said where it fails. */
export async function must(
  program: string,
  args: readonly string[],
  timeoutMs = 300_000,
): Promise<void> {
  const ran = await run(program, args, { timeoutMs });
  if (ran.code !== 0) throw new Error(`${program}: exit ${ran.code}\n${ran.stderr}`);
}
