import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildImage, dockerArchive } from '../../shared/distribution/image.fixture.ts';
import { busybox } from '../../worker/runtime/containerd/containerd.fixture.ts';
import { ROOT, tempDir } from '../support/swarm.ts';
import { must } from './guest.ts';
import { debianMachine, type Machine } from './machine-disk.ts';

/** Of one start; emulated, and where everything is slow. */
const START_MS = 1_500_000;
const STARTS = 3;
const PLUG = '=== pull the plug';
const DONE = '=== done';

/**
 * A whole Debian with systemd, pure cgroup v2 and AppArmor in which the package is installed as a user does:
 * what it is asked is in machine.sh. It is started three times: the first start ends in a reboot, the second
 * without a warning.
 */
export async function machine(): Promise<void> {
  const directory = tempDir();
  try {
    await must(process.execPath, [join(ROOT, 'deploy', 'run.mjs'), 'package', directory.path]);
    const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
    const files = [
      {
        path: 'check/swarm.tar.gz',
        content: read(directory.path, `swarm-${version}-linux.tar.gz`),
      },
      { path: 'check/machine.sh', content: read(ROOT, 'test/vm/machine.sh') },
      {
        path: 'check/busybox.tar',
        content: dockerArchive(buildImage(busybox()), ['test/busybox:1']),
      },
      { path: 'etc/apparmor.d/mine', content: profile('mine') },
    ];
    const made = await debianMachine(join(directory.path, 'disk'), files);
    console.log(`Linux ${made.kernel}`);
    const said: string[] = [];
    for (let start = 1; start <= STARTS; start++) said.push(...(await run(made)));
    judge(said);
  } finally {
    directory.remove();
  }
}

function judge(said: readonly string[]): void {
  const failed = said.filter((line) => line.startsWith('FAILED '));
  const ok = said.filter((line) => line.startsWith('ok ')).length;
  console.log(`\n${ok} checks hold, ${failed.length} do not.`);
  assert.deepEqual(failed, []);
  assert.ok(said.includes(DONE), 'it came to its end');
}

/** Everything is allowed: what is looked at is which profile a container is under. */
function profile(name: string): string {
  return `profile ${name} flags=(attach_disconnected,mediate_deleted) {
  network,
  capability,
  file,
  mount,
  umount,
  pivot_root,
  signal,
  ptrace,
  unix,
}
`;
}

function read(folder: string, name: string): Buffer {
  return readFileSync(join(folder, name));
}

/** One start, until it powers off, reboots, or asks for its plug to be pulled. Prints as it comes. */
function run({ image, disk }: Machine): Promise<readonly string[]> {
  const words = [
    ...['-accel', 'tcg,thread=single', '-smp', '2', '-cpu', 'max', '-m', '2048'],
    ...['-nographic', '-no-reboot', '-nodefaults', '-serial', 'stdio', '-kernel', image],
    ...['-drive', `file=${disk},format=raw,if=none,id=disk`, '-device', 'nvme,drive=disk,serial=1'],
    '-append',
    'console=ttyS0 root=/dev/nvme0n1 rw quiet loglevel=3 panic=-1 no_timer_check ' +
      'apparmor=1 security=apparmor systemd.unified_cgroup_hierarchy=1 systemd.show_status=0',
  ];
  return new Promise((resolve, reject) => {
    const child = spawn('qemu-system-x86_64', words, { stdio: ['ignore', 'pipe', 'inherit'] });
    const timer = setTimeout(() => child.kill('SIGKILL'), START_MS);
    const lines: string[] = [];
    let rest = '';
    child.stdout.on('data', (chunk: Buffer) => {
      const parts = `${rest}${chunk}`.replaceAll('\r', '').split('\n');
      rest = parts.pop() ?? '';
      for (const line of parts) {
        console.log(line);
        lines.push(line);
        if (line === PLUG) child.kill('SIGKILL');
      }
    });
    child.on('error', reject);
    child.on('close', () => {
      clearTimeout(timer);
      resolve(lines);
    });
  });
}
