import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { AssignedTask, type Init } from '../../../proto/index.ts';
import type { ImageConfig } from '../../../shared/distribution/documents.ts';
import { seccompProfile } from './seccomp.ts';
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
    swapLimit: true,
    files: { hosts: '/s/hosts', hostname: '/s/hostname', resolv: '/s/resolv.conf' },
    initPath: undefined,
    apparmorProfile: undefined,
    volumePath: (name, target) => `/volumes/${name || `own${target}`}`,
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
      seccompProfile(architecture, new Set(capabilities))
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
  it('names no call twice without a condition', () => {
    const profile = seccompProfile('arm64', new Set());
    const names = profile.syscalls.filter(({ args }) => !args).flatMap((entry) => entry.names);
    assert.deepEqual([...new Set(names)].sort(), [...names].sort());
  });
});
