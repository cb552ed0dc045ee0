import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { AssignedTask, type Init } from '../../../proto/index.ts';
import type { ImageConfig } from '../../../shared/distribution/documents.ts';
import type { FileNode } from '../../io.ts';
import { RuntimeError } from '../../runtime.ts';
import { boundCapabilities } from './capabilities.ts';
import type { HostSide } from './host-side.ts';
import { missingKnobs } from './resources.ts';
import { customSeccomp, seccompProfile } from './seccomp.ts';
import { buildSpec, type SpecInput, specJson, stopSignalOf } from './spec.ts';

/** `UPDATE=1` writes it anew. */
const HERE = dirname(fileURLToPath(import.meta.url));
const GOLDEN = join(
  HERE.includes('/dist/') ? HERE.replace('/dist/', '/') : HERE,
  'golden',
  'default.json',
);

const IMAGE: ImageConfig = {
  os: 'linux',
  architecture: 'amd64',
  diffIds: [],
  env: ['PATH=/app/bin', 'MODE=image'],
  entrypoint: ['/entry'],
  cmd: ['serve'],
  user: '',
  workdir: '/app',
  stopSignal: 'SIGQUIT',
  volumes: ['/var/data'],
};

const NODES: { readonly [path: string]: FileNode } = {
  '/dev/kvm': { kind: 'c', major: 10, minor: 232, mode: 0o20660, uid: 0, gid: 105 },
  '/dev/dri': { kind: 'd', major: 0, minor: 0, mode: 0o40755, uid: 0, gid: 0 },
  '/dev/dri/card0': { kind: 'c', major: 226, minor: 0, mode: 0o20660, uid: 0, gid: 44 },
  '/dev/sda': { kind: 'b', major: 8, minor: 0, mode: 0o60660, uid: 0, gid: 6 },
};
const HOST: HostSide = {
  kernel: '6.1.0-18-amd64',
  x32: true,
  knobs: { swapLimit: true, swappiness: true, blkioWeight: true },
  capabilities: boundCapabilities('CapBnd:\t000001ffffffffff\n'),
  apparmor: new Set(),
  files: {
    node: (path) => NODES[path],
    realPath: (path) => (path === '/dev/gpu' ? '/dev/dri/card0' : path),
    list: (path) =>
      Object.keys(NODES)
        .filter((each) => each.startsWith(`${path}/`) && !each.slice(path.length + 1).includes('/'))
        .map((each) => each.slice(path.length + 1)),
  },
  bind: ({ source }) => {
    throw new RuntimeError('NOT_ALLOWED', `${source} is not offered`);
  },
};

function input(container: object = {}, init: Init<AssignedTask> = {}): SpecInput {
  return {
    task: AssignedTask.create({
      id: 'abcdefghijklmnopqrstuvwxy',
      serviceId: 'service1',
      serviceName: 'web',
      slot: 2,
      ...init,
      spec: { container: { image: 'app', ...container }, ...init.spec },
    }),
    image: IMAGE,
    users: {
      passwd: 'root:x:0:0:root:/root:/bin/sh\napp:x:100:200::/home/app:\n',
      group: 'root:x:0:\napp:x:200:\naudio:x:29:app,other\n',
    },
    node: { id: 'node1', hostname: 'box', architecture: 'amd64' },
    networkNamespace: '/run/netns/x',
    cgroupsPath: '/swarm/node1/abc',
    cgroupNamespace: false,
    files: { hosts: '/s/hosts', hostname: '/s/hostname', resolv: '/s/resolv.conf' },
    initPath: undefined,
    host: HOST,
    units: { devices: [], env: [] },
    volumePath: ({ name, target }) => `/volumes/${name || `own${target}`}`,
    openFilesMax: 1 << 20,
  };
}

describe('the spec of a container', () => {
  it('without wishes is the one on record', () => {
    const { linux, ...spec } = buildSpec(input());
    // The filter has tests of its own, and would hide everything else.
    const shown = { ...spec, linux: { ...linux, seccomp: 'as its own tests say' } };
    const text = `${JSON.stringify(shown, null, 2)}\n`;
    if (process.env['UPDATE'] === '1') writeFileSync(GOLDEN, text);
    assert.equal(text, readFileSync(GOLDEN, 'utf8'));
  });
  it('runs what the service says in the way that Docker joins it with the image', () => {
    const args = (container: object) => buildSpec(input(container)).process.args;
    assert.deepEqual(args({}), ['/entry', 'serve']);
    assert.deepEqual(args({ args: ['check'] }), ['/entry', 'check']);
    assert.deepEqual(args({ command: ['/other'] }), ['/other']);
    assert.deepEqual(args({ command: ['/other'], args: ['x'] }), ['/other', 'x']);
  });
  it('joins the environment of image and service', () => {
    const env = ['MODE=service', 'PATH', 'NAME={{.Task.Name}}', 'A={{ .Service.Name }}'];
    assert.deepEqual(buildSpec(input({ env })).process.env, [
      'HOSTNAME=abcdefghijkl',
      'MODE=service',
      'NAME=web.2.abcdefghijklmnopqrstuvwxy',
      'A=web',
      'HOME=/root',
    ]);
  });
  it('finds users and groups in the files of the image', () => {
    const user = (text: string, groups: string[] = []) =>
      buildSpec(input({ user: text, groups })).process.user;
    assert.deepEqual(user('app'), { uid: 100, gid: 200, additionalGids: [200, 29] });
    assert.deepEqual(user('100'), { uid: 100, gid: 200, additionalGids: [200, 29] });
    assert.deepEqual(user('app:audio'), { uid: 100, gid: 29, additionalGids: [29] });
    assert.deepEqual(user('4000'), { uid: 4000, gid: 0, additionalGids: [0] });
    assert.deepEqual(user('4000:5000', ['audio']), {
      uid: 4000,
      gid: 5000,
      additionalGids: [5000, 29],
    });
    assert.throws(() => user('nobody'), { code: 'USER_UNKNOWN' });
    assert.throws(() => user('app:nogroup'), { code: 'USER_UNKNOWN' });
    assert.throws(() => user('99999999999'), { code: 'USER_UNKNOWN' });
  });
  it('gives rights only as far as they are asked for', () => {
    const rights = (container: object) => buildSpec(input(container)).process.capabilities;
    assert.equal(rights({})['effective']!.length, 14);
    assert.deepEqual(rights({ user: 'app' })['effective'], []);
    assert.deepEqual(
      rights({ capabilityDrop: ['ALL'], capabilityAdd: ['CAP_CHOWN'] })['bounding'],
      ['CAP_CHOWN'],
    );
    assert.ok(!rights({ capabilityDrop: ['net_raw'] })['bounding']!.includes('CAP_NET_RAW'));
  });
  it('has the limits of its service', () => {
    const spec = { limits: { memoryBytes: 64 << 20, nanoCpus: 250_000_000, pids: 10 } };
    const { resources } = buildSpec(input({}, { spec })).linux;
    assert.deepEqual(resources.memory, { limit: 64 << 20, swap: 64 << 20 });
    assert.deepEqual(resources.cpu, { quota: 25_000, period: 100_000 });
    assert.deepEqual(resources.pids, { limit: 10 });
  });
  it('has the weights and the swap that it asks for, as far as the kernel has them', () => {
    const spec = { limits: { memoryBytes: 64 << 20 } };
    const wishes = { swapBytes: 32 << 20, swappiness: { percent: 0 }, cpuShares: 512 };
    const { resources } = buildSpec(input({ ...wishes, blkioWeight: 300 }, { spec })).linux;
    assert.deepEqual(resources.memory, { limit: 64 << 20, swap: 96 << 20, swappiness: 0 });
    assert.deepEqual(resources.cpu, { shares: 512 });
    assert.deepEqual(resources.blockIO, { weight: 300 });
    const bare = input({ ...wishes, blkioWeight: 300 }, { spec });
    const knobs = { swapLimit: false, swappiness: false, blkioWeight: false };
    const less = buildSpec({ ...bare, host: { ...HOST, knobs } }).linux.resources;
    assert.deepEqual([less.memory, less.blockIO], [{ limit: 64 << 20 }, undefined]);
    const said = missingKnobs(bare.task.spec!.container!, knobs);
    assert.match(said, /--memory-swap, --memory-swappiness, --blkio-weight$/);
    const unlimited = buildSpec(input({ swapBytes: -1 }, { spec })).linux.resources.memory;
    assert.equal(unlimited?.swap, -1);
  });
  it('has the devices that it asks for, with the rights and at the paths it says', () => {
    const devices = [
      { host: '/dev/kvm', target: '/dev/kvm', permissions: 'rw' },
      { host: '/dev/dri', target: '/dev/x', permissions: 'rwm' },
      { host: '/dev/gpu', target: '/dev/gpu', permissions: 'r' },
    ];
    const { linux } = buildSpec(input({ devices }, { hostAccess: true }));
    const shown = linux.devices!.map(({ path, type, major, minor }) => [path, type, major, minor]);
    assert.deepEqual(shown, [
      ['/dev/kvm', 'c', 10, 232],
      ['/dev/x/card0', 'c', 226, 0],
      ['/dev/gpu', 'c', 226, 0],
    ]);
    const access = linux.resources.devices.slice(-3).map((device) => device.access);
    assert.deepEqual(access, ['rw', 'rwm', 'r']);
    const gone = { devices: [{ host: '/dev/none', target: '/dev/none', permissions: 'r' }] };
    assert.throws(() => buildSpec(input(gone, { hostAccess: true })), /no device \/dev\/none/);
  });
  it('has the units that it was given, without access to hosts', () => {
    const units = { devices: ['/dev/kvm'], env: ['DOCKER_RESOURCE_GPU=GPU-1'] };
    const { linux, process } = buildSpec({ ...input(), units });
    assert.deepEqual(
      linux.devices!.map(({ path }) => path),
      ['/dev/kvm'],
    );
    assert.ok(process.env.includes('DOCKER_RESOURCE_GPU=GPU-1'));
  });
  it('that is privileged has every right and every device, and is behind no filter', () => {
    const { linux, process, mounts } = buildSpec(input({ privileged: true }, { hostAccess: true }));
    assert.equal(process.capabilities['effective']!.length, 41);
    assert.deepEqual([linux.seccomp, linux.maskedPaths, linux.readonlyPaths], [undefined, [], []]);
    assert.deepEqual(linux.resources.devices, [{ allow: true, access: 'rwm' }]);
    const paths = linux.devices!.map(({ path }) => path);
    assert.deepEqual(paths.sort(), ['/dev/dri/card0', '/dev/kvm', '/dev/sda']);
    const system = mounts.find(({ destination }) => destination === '/sys');
    assert.ok(!system!.options.includes('ro'));
  });
  it('is under AppArmor where it is loaded, and under the profile that it names', () => {
    const loaded = { ...HOST, apparmor: new Set(['docker-default', 'mine']) };
    const profileOf = (container: object, host: HostSide) =>
      buildSpec({ ...input(container, { hostAccess: true }), host }).process.apparmorProfile;
    assert.equal(profileOf({}, HOST), undefined);
    assert.equal(profileOf({}, loaded), 'docker-default');
    const both = { ...HOST, apparmor: new Set(['docker-default', 'swarm-default']) };
    assert.equal(profileOf({}, both), 'swarm-default');
    const ours = { ...HOST, apparmor: new Set(['swarm-default']) };
    assert.equal(profileOf({ apparmor: 'docker-default' }, ours), 'swarm-default');
    assert.equal(profileOf({ apparmor: 'mine' }, loaded), 'mine');
    assert.equal(profileOf({ apparmor: 'unconfined' }, loaded), undefined);
    assert.equal(profileOf({ privileged: true }, loaded), undefined);
    assert.throws(() => profileOf({ apparmor: 'other' }, loaded), /other is not loaded/);
  });
  it('gets no new rights and as much shared memory as it asks for', () => {
    const { process, mounts } = buildSpec(input({ noNewPrivileges: true, shmBytes: 1 << 20 }));
    assert.equal(process.noNewPrivileges, true);
    const shm = mounts.find(({ destination }) => destination === '/dev/shm');
    assert.ok(shm!.options.includes('size=1048576'));
  });
  it('is refused access to its host where the cluster does not allow it', () => {
    const wishes: readonly object[] = [
      { privileged: true },
      { devices: [{ host: '/dev/kvm', target: '/dev/kvm', permissions: 'r' }] },
      { capabilityAdd: ['CAP_SYS_ADMIN'] },
      { capabilityAdd: ['ALL'] },
      { seccomp: 'unconfined' },
      { seccomp: '{"defaultAction":"SCMP_ACT_ALLOW"}' },
      { apparmor: 'unconfined' },
    ];
    for (const wish of wishes) {
      const text = /makes a container root on its host, which the cluster does not allow/;
      assert.throws(() => buildSpec(input(wish)), text, JSON.stringify(wish));
      if (!('apparmor' in wish)) buildSpec(input(wish, { hostAccess: true }));
    }
  });
  it('says no limit as runc understands it', () => {
    const ulimits = [{ name: 'memlock', soft: -1, hard: -1 }];
    const text = Buffer.from(specJson(buildSpec(input({ ulimits })))).toString();
    assert.match(text, /"RLIMIT_MEMLOCK","soft":18446744073709551615,"hard":18446744073709551615/);
  });
  it('mounts what lies in another mount after it', () => {
    const mounts = [
      { type: 'volume', source: 'inner', target: '/a/b/c' },
      { type: 'tmpfs', target: '/a', options: { 'tmpfs-mode': '1777' } },
      { type: 'volume', source: 'data', target: '/var/data/', readOnly: true },
    ];
    const made = buildSpec(input({ mounts })).mounts.slice(-3);
    assert.deepEqual(
      made.map((mount) => [mount.destination, mount.source]),
      [
        ['/a', 'tmpfs'],
        ['/var/data', '/volumes/data'],
        ['/a/b/c', '/volumes/inner'],
      ],
    );
    assert.ok(made[1]!.options.includes('ro'));
  });
  it('refuses what would make a container more than one', () => {
    const cases: readonly [object, string][] = [
      [{ mounts: [{ type: 'bind', source: '/etc', target: '/x' }] }, 'NOT_ALLOWED'],
      [{ mounts: [{ type: 'volume', source: 'x', target: '/proc' }] }, 'INVALID_SPEC'],
      [{ mounts: [{ type: 'volume', source: '../up', target: '/x' }] }, 'INVALID_SPEC'],
      [
        {
          mounts: [{ type: 'volume', source: 'x', target: '/x', options: { 'volume-opt:a': 'b' } }],
        },
        'UNSUPPORTED',
      ],
      [{ sysctls: { 'kernel.panic': '1' } }, 'NOT_ALLOWED'],
      [{ init: true }, 'UNSUPPORTED'],
      [{ ulimits: [{ name: 'wings', soft: 1, hard: 1 }] }, 'INVALID_SPEC'],
    ];
    for (const [container, code] of cases) {
      assert.throws(() => buildSpec(input(container)), { code }, JSON.stringify(container));
    }
  });
  it('stops by the signal of the service, else of the image', () => {
    const { task } = input({ stopSignal: 'SIGINT' });
    assert.equal(stopSignalOf(task, IMAGE), 'SIGINT');
    assert.equal(stopSignalOf(input().task, IMAGE), 'SIGQUIT');
    assert.equal(stopSignalOf(input().task, { stopSignal: '' }), 'SIGTERM');
  });
});

describe('the filter of system calls', () => {
  const allowed = (capabilities: string[], architecture = 'amd64') =>
    new Set(
      seccompProfile({ architecture, capabilities: new Set(capabilities), x32: true })
        .syscalls.filter(({ action, args }) => action === 'SCMP_ACT_ALLOW' && !args)
        .flatMap(({ names }) => names),
    );
  it('lets ordinary programs work, and none load a module or mount', () => {
    const calls = allowed([]);
    for (const name of ['read', 'execve', 'futex', 'clock_nanosleep', 'accept4', 'mmap'])
      assert.ok(calls.has(name), name);
    for (const name of [
      'mount',
      'init_module',
      'bpf',
      'unshare',
      'reboot',
      'io_uring_setup',
      'keyctl',
    ])
      assert.ok(!calls.has(name), name);
  });
  it('opens what a capability is for', () => {
    assert.ok(allowed(['SYS_ADMIN']).has('mount'));
    assert.ok(allowed(['SYS_CHROOT']).has('chroot'));
  });
  it('covers x32 where the kernel runs it', () => {
    const covered = (x32: boolean) =>
      seccompProfile({ architecture: 'amd64', capabilities: new Set(), x32 }).architectures;
    assert.deepEqual(covered(true), ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32']);
    assert.deepEqual(covered(false), ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86']);
  });
  it('names no call twice without a condition', () => {
    const profile = seccompProfile({ architecture: 'arm64', capabilities: new Set(), x32: true });
    const names = profile.syscalls.filter(({ args }) => !args).flatMap((entry) => entry.names);
    assert.deepEqual([...new Set(names)].sort(), [...names].sort());
  });
});

describe("a filter of one's own", () => {
  const profile = {
    defaultAction: 'SCMP_ACT_ERRNO',
    defaultErrnoRet: 1,
    archMap: [
      { architecture: 'SCMP_ARCH_X86_64', subArchitectures: ['SCMP_ARCH_X86'] },
      { architecture: 'SCMP_ARCH_AARCH64', subArchitectures: ['SCMP_ARCH_ARM'] },
    ],
    syscalls: [
      { names: ['read', 'write'], action: 'SCMP_ACT_ALLOW' },
      { names: ['mount'], action: 'SCMP_ACT_ALLOW', includes: { caps: ['CAP_SYS_ADMIN'] } },
      { names: ['arch_prctl'], action: 'SCMP_ACT_ALLOW', includes: { arches: ['amd64'] } },
      { names: ['ptrace'], action: 'SCMP_ACT_ALLOW', includes: { minKernel: '4.8' } },
      {
        names: ['clone'],
        action: 'SCMP_ACT_ALLOW',
        args: [{ index: 0, value: 2114060288, op: 'SCMP_CMP_MASKED_EQ' }],
        excludes: { caps: ['CAP_SYS_ADMIN'] },
      },
    ],
  };
  const place = {
    architecture: 'amd64',
    capabilities: new Set<string>(),
    kernel: '6.1.0',
    x32: true,
  };
  const names = (more: Partial<typeof place>) =>
    customSeccomp(JSON.stringify(profile), { ...place, ...more }).syscalls.flatMap((s) => s.names);
  it('holds where its conditions say', () => {
    assert.deepEqual(names({}), ['read', 'write', 'arch_prctl', 'ptrace', 'clone']);
    assert.deepEqual(names({ architecture: 'arm64', kernel: '4.4.0' }), ['read', 'write', 'clone']);
    const admin = names({ capabilities: new Set(['SYS_ADMIN']) });
    assert.ok(admin.includes('mount') && !admin.includes('clone'));
  });
  it('is for the instruction sets of its machine', () => {
    const made = customSeccomp(JSON.stringify(profile), place);
    assert.deepEqual(made.architectures, ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86']);
    assert.deepEqual([made.defaultAction, made.defaultErrnoRet], ['SCMP_ACT_ERRNO', 1]);
  });
});
