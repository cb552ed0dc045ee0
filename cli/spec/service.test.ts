import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ServiceSpec, UpdateConfig } from '../../proto/index.ts';
import { SwarmError } from '../../shared/errors.ts';
import { Flags } from './flags.ts';
import { changeSpec, createSpec } from './service.ts';

type Typed = { readonly [name: string]: string | boolean | readonly string[] };

const create = (typed: Typed, words: readonly string[] = ['nginx']): ServiceSpec =>
  createSpec(new Flags(typed), words, { HOME: '/home/me' });
const change = (spec: ServiceSpec, typed: Typed): ServiceSpec =>
  changeSpec(spec, new Flags(typed), {});

function refused(part: string, act: () => unknown): void {
  assert.throws(act, (error: unknown) => {
    assert.ok(SwarmError.is(error), String(error));
    assert.ok(error.message.includes(part), error.message);
    return true;
  });
}

test('an image and its arguments make a replicated service of one task', () => {
  const spec = create({ name: 'web' }, ['nginx:1.27', '-g', 'daemon off;']);
  assert.equal(spec.name, 'web');
  assert.equal(spec.replicas, 1);
  assert.equal(spec.task?.container?.image, 'nginx:1.27');
  assert.deepEqual(spec.task?.container?.args, ['-g', 'daemon off;']);
  assert.equal(spec.task?.process, null);
});

test('--process makes a command of the host of the words', () => {
  const spec = create({ process: true, workdir: '/srv', user: 'www' }, [
    'sh',
    '-c',
    'exec "$0" -p',
  ]);
  assert.deepEqual(spec.task?.process?.command, ['sh', '-c', 'exec "$0" -p']);
  assert.equal(spec.task?.process?.workdir, '/srv');
  assert.equal(spec.task?.process?.user, 'www');
  assert.equal(spec.task?.container, null);
});

test('what was not typed is left to the server', () => {
  const { task, update, rollback, endpoint } = create({});
  assert.deepEqual([update, rollback, endpoint], [null, null, null]);
  assert.deepEqual(
    [task?.restart, task?.health, task?.ready, task?.limits],
    [null, null, null, null],
  );
});

test('a global service has no replicas', () => {
  assert.equal(create({ mode: 'global' }).replicas, 0);
  refused('--replicas', () => create({ mode: 'global', replicas: '3' }));
  assert.equal(create({ replicas: '0' }).replicas, 0);
});

test('a service without anything to run is refused', () => {
  refused('an image', () => create({}, []));
  refused('the command', () => create({ process: true }, []));
});

test('a flag that needs an image is refused for a process', () => {
  for (const name of ['entrypoint', 'hostname'])
    refused(`--${name}`, () => create({ process: true, [name]: 'x' }, ['sleep', '1']));
  refused('--mount', () => create({ process: true, mount: ['target=/x'] }, ['sleep', '1']));
});

test('the first --update flag brings the other defaults along', () => {
  const spec = create({ 'update-delay': '10s', 'rollback-order': 'start-first' });
  assert.deepEqual(UpdateConfig.toJson(spec.update!), {
    parallelism: 1,
    delayMs: 10_000,
    monitorMs: 5_000,
    failureAction: 'FAILURE_ACTION_PAUSE',
    maxFailureRatio: 0,
    order: 'UPDATE_ORDER_STOP_FIRST',
    progressDeadlineMs: 600_000,
  });
  assert.equal(spec.rollback?.order, 1);
  assert.equal(spec.rollback?.parallelism, 1);
});

test('a rollback cannot roll back', () => {
  refused('--rollback-failure-action', () => create({ 'rollback-failure-action': 'rollback' }));
  assert.equal(create({ 'update-failure-action': 'rollback' }).update?.failureAction, 2);
});

test('every part of a spec has its flags', () => {
  const spec = create(
    {
      process: true,
      env: ['A=1', 'HOME', 'NONE'],
      'env-file': ['A=0', 'F=1'],
      label: ['tier=front'],
      constraint: ['node.labels.zone == a', 'node.role!=manager'],
      'placement-pref': ['spread=node.labels.rack'],
      'replicas-max-per-node': '2',
      'limit-cpu': '0.5',
      'limit-memory': '64m',
      'limit-pids': '100',
      'reserve-cpu': '0.25',
      'reserve-memory': '32m',
      'generic-resource': ['gpu=2'],
      'restart-condition': 'on-failure',
      'restart-max-attempts': '3',
      'stop-signal': 'SIGQUIT',
      'stop-grace-period': '3s',
      publish: ['8080:80', '8080:80'],
      'ready-http': ':80/ready',
      'health-tcp': ':80',
      'health-interval': '2s',
      'drain-time': '5s',
      'on-disconnect': 'stop=45s',
    },
    ['hello'],
  );
  const { task } = spec;
  assert.deepEqual(task?.process?.env, ['A=1', 'F=1', 'HOME=/home/me']);
  assert.deepEqual(spec.labels, { tier: 'front' });
  assert.deepEqual(task?.placement?.constraints, ['node.labels.zone==a', 'node.role!=manager']);
  assert.deepEqual(task?.placement?.spread, ['node.labels.rack']);
  assert.equal(task?.placement?.maxReplicasPerNode, 2);
  assert.equal(task?.limits?.nanoCpus, 500_000_000);
  assert.equal(task?.limits?.memoryBytes, 64 << 20);
  assert.equal(task?.limits?.pids, 100);
  assert.deepEqual(task?.reservations?.generic, { gpu: 2 });
  assert.equal(task?.restart?.condition, 1);
  assert.equal(task?.restart?.delayMs, 5_000);
  assert.equal(task?.restart?.maxAttempts, 3);
  assert.equal(task?.process?.stopSignal, 'SIGQUIT');
  assert.equal(task?.process?.stopGraceMs, 3_000);
  assert.equal(spec.endpoint?.ports.length, 1);
  assert.equal(task?.ready?.http, ':80/ready');
  assert.equal(task?.health?.tcp, ':80');
  assert.equal(task?.health?.intervalMs, 2_000);
  assert.equal(task?.drainTimeMs, 5_000);
  assert.equal(task?.onDisconnect, 1);
  assert.equal(task?.onDisconnectAfterMs, 45_000);
});

test('a time of 0, which the field keeps for its default, travels as the shortest one', () => {
  const { task } = create({ process: true, 'stop-grace-period': '0s', 'drain-time': '0' }, ['x']);
  assert.equal(task?.process?.stopGraceMs, 1);
  assert.equal(task?.drainTimeMs, 1);
});

test('an update without a flag changes nothing', () => {
  const spec = create({ env: ['A=1'], publish: ['8080:80'], 'update-delay': '1s' });
  assert.deepEqual(ServiceSpec.encode(change(spec, {})), ServiceSpec.encode(spec));
});

test('an update changes what was typed and nothing else', () => {
  const spec = create({
    env: ['A=1', 'B=2'],
    label: ['x=1', 'y=2'],
    publish: ['8080:80', '9090:90'],
  });
  const changed = change(spec, {
    'env-add': ['C=3', 'A=9'],
    'env-rm': ['B'],
    'label-rm': ['x'],
    'publish-rm': ['80'],
    'publish-add': ['8081:80'],
    image: 'nginx:2',
  });
  assert.deepEqual(changed.task?.container?.env, ['A=9', 'C=3']);
  assert.deepEqual(changed.labels, { y: '2' });
  assert.deepEqual(
    changed.endpoint?.ports.map((port) => port.published),
    [9090, 8081],
  );
  assert.equal(changed.task?.container?.image, 'nginx:2');
  assert.equal(spec.task?.container?.image, 'nginx');
});

test('a constraint is found again however it is spaced', () => {
  const spec = create({ constraint: ['node.role == worker'] });
  const changed = change(spec, { 'constraint-rm': ['node.role==worker'] });
  assert.deepEqual(changed.task?.placement?.constraints, []);
  refused('--constraint', () => create({ constraint: ['node.role=worker'] }));
});

test('--args replaces what follows the first word of a process', () => {
  const spec = create({ process: true }, ['sleep', '10']);
  assert.deepEqual(change(spec, { args: '20' }).task?.process?.command, ['sleep', '20']);
  const whole = change(spec, { command: `sh -c 'echo hi'` });
  assert.deepEqual(whole.task?.process?.command, ['sh', '-c', 'echo hi']);
  refused('--image', () => change(spec, { image: 'nginx' }));
  refused('--command', () => change(create({}), { command: 'x' }));
});

test('a new kind of health check takes the place of the old one and keeps its times', () => {
  const spec = create({ 'health-cmd': 'true', 'health-interval': '3s' });
  const changed = change(spec, { 'health-http': ':80/' });
  assert.deepEqual(changed.task?.health?.cmd, []);
  assert.equal(changed.task?.health?.http, ':80/');
  assert.equal(changed.task?.health?.intervalMs, 3_000);
  assert.deepEqual(change(spec, { 'no-healthcheck': true }).task?.health?.cmd, ['NONE']);
  refused('exclude', () => create({ 'health-cmd': 'true', 'no-healthcheck': true }));
});

test('an empty readiness probe takes the probe away', () => {
  const spec = create({ 'ready-http': ':80/' });
  assert.equal(change(spec, { 'ready-http': '' }).task?.ready, null);
});

test('--force alone replaces every task', () => {
  const spec = create({});
  assert.equal(change(change(spec, { force: true }), { force: true }).task?.forceUpdate, 2);
});

test('adding a capability wins over dropping it, and RESET forgets what was there', () => {
  const spec = create({
    'cap-add': ['NET_ADMIN', 'cap_sys_time'],
    'cap-drop': ['NET_ADMIN', 'ALL'],
  });
  assert.deepEqual(spec.task?.container?.capabilityAdd, ['CAP_NET_ADMIN', 'CAP_SYS_TIME']);
  assert.deepEqual(spec.task?.container?.capabilityDrop, ['ALL']);
  const reset = change(spec, { 'cap-add': ['RESET'] });
  assert.deepEqual(reset.task?.container?.capabilityAdd, []);
});

test('--on-disconnect is keep, stop or stop with a time', () => {
  assert.equal(create({ 'on-disconnect': 'stop' }).task?.onDisconnect, 1);
  assert.equal(create({ 'on-disconnect': 'keep' }).task?.onDisconnect, 0);
  refused('--on-disconnect', () => create({ 'on-disconnect': 'wait' }));
});

test('devices, rights and weights have the names that docker run gives them', () => {
  const spec = create({
    device: ['/dev/kvm', '/dev/sda:/dev/xvda:r', '/dev/dri:rw'],
    privileged: true,
    'security-opt': ['no-new-privileges', 'apparmor=unconfined', 'seccomp:unconfined'],
    'shm-size': '128m',
    'memory-swap': '-1',
    'memory-swappiness': '0',
    'cpu-shares': '512',
    'blkio-weight': '300',
  }).task!.container!;
  assert.deepEqual(
    spec.devices.map(({ host, target, permissions }) => [host, target, permissions]),
    [
      ['/dev/kvm', '/dev/kvm', 'rwm'],
      ['/dev/sda', '/dev/xvda', 'r'],
      ['/dev/dri', '/dev/dri', 'rw'],
    ],
  );
  assert.deepEqual([spec.privileged, spec.noNewPrivileges], [true, true]);
  assert.deepEqual([spec.apparmor, spec.seccomp], ['unconfined', 'unconfined']);
  assert.deepEqual([spec.shmBytes, spec.swapBytes, spec.swappiness?.percent], [128 << 20, -1, 0]);
  assert.deepEqual([spec.cpuShares, spec.blkioWeight], [512, 300]);
  for (const device of ['/dev/a:/dev/b:rwx', '/dev/a:rr', ':x', '/a:/b:r:c'])
    refused('--device', () => create({ device: [device] }));
  for (const option of ['label=x', 'seccomp', 'no-new-privileges=maybe'])
    refused('--security-opt', () => create({ 'security-opt': [option] }));
});

test('an update takes rights away one by one', () => {
  const before = create({
    device: ['/dev/a', '/dev/b'],
    privileged: true,
    'security-opt': ['no-new-privileges', 'seccomp=unconfined'],
    'memory-swappiness': '10',
  });
  const after = change(before, {
    'device-rm': ['/dev/a'],
    'device-add': ['/dev/b:r'],
    privileged: 'false',
    'security-opt': ['no-new-privileges=false', 'seccomp=default'],
    'memory-swappiness': '-1',
  }).task!.container!;
  assert.deepEqual(
    after.devices.map(({ host, permissions }) => [host, permissions]),
    [['/dev/b', 'r']],
  );
  assert.deepEqual([after.privileged, after.noNewPrivileges, after.seccomp], [false, false, '']);
  assert.equal(after.swappiness, null);
});
