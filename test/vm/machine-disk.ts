import { cpSync, existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { debianRoot } from './debootstrap.ts';
import { copyProgram, type GuestFile, kernelOfDebian, must } from './guest.ts';

const RELEASE = 'bookworm';
const PACKAGES = [
  ...['systemd', 'systemd-sysv', 'udev', 'dbus', 'kmod', 'procps', 'curl', 'busybox-static'],
  ...['containerd', 'runc', 'tini', 'nftables', 'conntrack', 'iproute2', 'iptables'],
  ...['apparmor', 'wireguard-tools', 'libstdc++6'],
];
const DISK = '3G';

/** A disk to start a machine from, and the kernel that starts it. */
export interface Machine {
  readonly kernel: string;
  readonly image: string;
  readonly disk: string;
}

/**
 * Makes a disk at `disk` with a whole small Debian: systemd, containerd and what a node needs; Node.js is
 * the one that runs this. `files` are put on it. Needs root. What was downloaded is kept between runs.
 */
export async function debianMachine(disk: string, files: readonly GuestFile[]): Promise<Machine> {
  const kernel = await kernelOfDebian();
  const root = await debianRoot({
    name: 'swarm-vm-debian',
    release: RELEASE,
    packages: PACKAGES,
    furnish,
  });
  const modules = join(root, 'usr', 'lib', 'modules', kernel.version);
  if (!existsSync(modules)) {
    cpSync(kernel.modules, modules, { recursive: true });
    await must('chroot', [root, 'depmod', kernel.version]);
  }
  const added = join(dirname(disk), 'added');
  for (const { path, content } of files) {
    mkdirSync(dirname(join(added, path)), { recursive: true });
    writeFileSync(join(added, path), content);
  }
  const whole = join(dirname(disk), 'whole');
  await must('cp', ['-a', root, whole]);
  await must('cp', ['-aT', added, whole]);
  await copyProgram(whole, process.execPath);
  await must('mkfs.ext4', ['-q', '-F', '-d', whole, disk, DISK]);
  rmSync(whole, { recursive: true });
  return { kernel: kernel.version, image: kernel.image, disk };
}

/** What makes it a machine with an address that runs the checks when it has started. */
function furnish(root: string): void {
  const unit = (name: string, text: string): void => {
    writeFileSync(join(root, 'etc', 'systemd', 'system', name), text);
    const wants = join(root, 'etc', 'systemd', 'system', 'multi-user.target.wants');
    mkdirSync(wants, { recursive: true });
    symlinkSync(`/etc/systemd/system/${name}`, join(wants, name));
  };
  rmSync(join(root, 'etc', 'machine-id'), { force: true });
  writeFileSync(join(root, 'etc', 'machine-id'), '');
  writeFileSync(join(root, 'etc', 'hostname'), 'machine\n');
  writeFileSync(join(root, 'etc', 'fstab'), '/dev/nvme0n1 / ext4 defaults 0 1\n');
  // It would take the console away from the checks.
  symlinkSync('/dev/null', join(root, 'etc', 'systemd', 'system', 'serial-getty@ttyS0.service'));
  unit('address.service', ADDRESS);
  unit('check.service', CHECK);
}

const ADDRESS = `[Unit]
Before=network-online.target
Wants=network-online.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/sbin/ip link add lan0 type dummy
ExecStart=/sbin/ip addr add 192.168.99.1/24 dev lan0
ExecStart=/sbin/ip link set lan0 up
ExecStart=/sbin/ip route add default via 192.168.99.254
`;

const CHECK = `[Service]
ExecStart=/bin/sh /check/machine.sh
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS0
KillMode=process
`;
