import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  EndpointMode,
  FailureAction,
  type Init,
  OnDisconnect,
  Protocol,
  PublishMode,
  RestartCondition,
  ServiceMode,
  ServiceSpec,
  type TaskSpec,
  UpdateOrder,
} from '../../proto/index.ts';
import { SwarmError } from '../../shared/errors.ts';
import { aSpec } from './control.fixture.ts';
import { withDefaults } from './service-defaults.ts';
import { sameSpec } from './specs.ts';
import { validateService } from './validate-service.ts';

function verdict(spec: Init<ServiceSpec>): string {
  try {
    validateService(aSpec(spec));
    return 'ok';
  } catch (error) {
    assert.ok(SwarmError.is(error), String(error));
    return `${error.code} ${error.message}`;
  }
}
function ofTask(task: Init<TaskSpec>): string {
  return verdict({ task: { process: { command: ['a'] }, ...task } });
}
function ofImage(image: string): string {
  return verdict({ task: { container: { image } } });
}
function ofContainer(container: object, task: Init<TaskSpec> = {}): string {
  return verdict({ task: { container: { image: 'a', ...container }, ...task } });
}
function ofPort(...ports: object[]): string {
  return verdict({ endpoint: { ports } });
}

const GOLDEN: readonly (readonly [string, string, string])[] = [
  ['a plain name', verdict({ name: 'web-1_a' }), 'ok'],
  ['one letter', verdict({ name: 'a' }), 'ok'],
  ['63 letters', verdict({ name: 'a'.repeat(63) }), 'ok'],
  [
    '64 letters',
    verdict({ name: 'a'.repeat(64) }),
    `INVALID_SPEC name: "${'a'.repeat(64)}" is no service name`,
  ],
  ['no name', verdict({ name: '' }), 'INVALID_SPEC name: it is empty'],
  ['dash first', verdict({ name: '-web' }), 'INVALID_SPEC name: "-web" is no service name'],
  ['dash last', verdict({ name: 'web-' }), 'INVALID_SPEC name: "web-" is no service name'],
  ['a dot', verdict({ name: 'a.b' }), 'INVALID_SPEC name: "a.b" is no service name'],
  ['no task', verdict({ task: null }), 'INVALID_SPEC task: there is nothing to run'],
  ['empty task', verdict({ task: {} }), 'INVALID_SPEC task: there is nothing to run'],
  ['too many replicas', verdict({ replicas: 100_001 }), 'INVALID_SPEC replicas: 100001 replicas'],
  [
    'global with replicas',
    verdict({ mode: ServiceMode.GLOBAL, replicas: 2 }),
    'INVALID_SPEC replicas: a global service has one task on each node',
  ],
  [
    'a job',
    verdict({ mode: ServiceMode.REPLICATED_JOB }),
    'UNSUPPORTED mode: this release runs replicated and global services, not jobs',
  ],
  ['an unknown mode', verdict({ mode: 9 as never }), 'INVALID_SPEC mode: 9 is no such value'],
  [
    'empty command',
    ofTask({ process: { command: [] } }),
    'INVALID_SPEC command: the command is empty',
  ],
  [
    'blank command',
    ofTask({ process: { command: [' '] } }),
    'INVALID_SPEC command: the command is empty',
  ],
  [
    'NUL in the command',
    ofTask({ process: { command: ['a', 'b\0c'] } }),
    'INVALID_SPEC command: it holds a NUL byte',
  ],
  [
    'env without =',
    ofTask({ process: { command: ['a'], env: ['FOO'] } }),
    'INVALID_SPEC env: "FOO" is not of the form KEY=VALUE',
  ],
  [
    'env without a key, whose value stays hidden',
    ofTask({ process: { command: ['a'], env: ['=secret'] } }),
    'INVALID_SPEC env: "=..." is not of the form KEY=VALUE',
  ],
  ['env with an empty value', ofTask({ process: { command: ['a'], env: ['A='] } }), 'ok'],
  [
    'relative workdir',
    ofTask({ process: { command: ['a'], workdir: 'tmp' } }),
    'INVALID_SPEC workdir: "tmp" is not absolute',
  ],
  ['user and group', ofTask({ process: { command: ['a'], user: 'www:33' } }), 'ok'],
  [
    'two colons in the user',
    ofTask({ process: { command: ['a'], user: 'a:b:c' } }),
    'INVALID_SPEC user: "a:b:c" names no user',
  ],
  ['signal by short name', ofTask({ process: { command: ['a'], stopSignal: 'int' } }), 'ok'],
  [
    'no signal',
    ofTask({ process: { command: ['a'], stopSignal: 'STOPIT' } }),
    'INVALID_SPEC stop_signal: "STOPIT" is no signal',
  ],
  [
    'signal 65',
    ofTask({ process: { command: ['a'], stopSignal: '65' } }),
    'INVALID_SPEC stop_signal: "65" is no signal',
  ],
  [
    'little memory',
    ofTask({ limits: { memoryBytes: 1_000 } }),
    'INVALID_SPEC limits.memory: 1000 bytes are too little',
  ],
  [
    'little cpu',
    ofTask({ reservations: { nanoCpus: 1_000 } }),
    'INVALID_SPEC reservations.cpu: 0.000001 is too little',
  ],
  [
    'reserves more than its limit',
    ofTask({ limits: { nanoCpus: 5e8 }, reservations: { nanoCpus: 1e9 } }),
    'INVALID_SPEC reservations.cpu: 1 is more than the limit',
  ],
  ['a constraint', ofTask({ placement: { constraints: ['node.role == manager'] } }), 'ok'],
  ['an unknown key', ofTask({ placement: { constraints: ['node.lables.a==b'] } }), 'ok'],
  [
    'a single =',
    ofTask({ placement: { constraints: ['node.role=manager'] } }),
    'INVALID_SPEC placement.constraints: "node.role=manager" is no constraint; did you mean node.role==manager?',
  ],
  [
    'no value',
    ofTask({ placement: { constraints: ['node.role=='] } }),
    'INVALID_SPEC placement.constraints: "node.role==" is no constraint',
  ],
  ['spread', ofTask({ placement: { spread: ['node.labels.zone'] } }), 'ok'],
  [
    'spread by host name',
    ofTask({ placement: { spread: ['node.hostname'] } }),
    'INVALID_SPEC placement.spread: "node.hostname" is no spread preference',
  ],
  [
    'global with a most per node',
    verdict({
      mode: ServiceMode.GLOBAL,
      replicas: 0,
      task: { process: { command: ['a'] }, placement: { maxReplicasPerNode: 1 } },
    }),
    'INVALID_SPEC placement.max_replicas_per_node: a global service has one task on each node',
  ],
  [
    'two health checks',
    ofTask({ health: { http: ':80/', tcp: ':80' } }),
    'INVALID_SPEC health: more than one kind of check is given',
  ],
  [
    'intervals without a check',
    ofTask({ health: { intervalMs: 5 } }),
    'INVALID_SPEC health: no check is given',
  ],
  [
    'a path without its slash',
    ofTask({ health: { http: ':80' } }),
    'INVALID_SPEC health.http: ":80" is no check',
  ],
  [
    'port 70000',
    ofTask({ health: { tcp: ':70000' } }),
    'INVALID_SPEC health.tcp: ":70000" is no check',
  ],
  ['a shell check', ofTask({ health: { cmd: ['CMD-SHELL', 'true'] } }), 'ok'],
  [
    'another kind of check',
    ofTask({ health: { cmd: ['true'] } }),
    'INVALID_SPEC health.cmd: "true" is no kind of check',
  ],
  ['readiness', ofTask({ ready: { http: ':8080/ready?x=1' } }), 'ok'],
  ['no readiness', ofTask({ ready: {} }), 'INVALID_SPEC ready: 0 checks are given'],
  [
    'a network for a command of the host',
    ofTask({ networks: [{ target: 'back' }] }),
    "INVALID_SPEC networks: a command of the host (--process) has the host's own network and no other",
  ],
  [
    'placeholders',
    ofTask({ process: { command: ['a'], env: ['A={{.Task.Slot}} {{.Service.Labels.x}}'] } }),
    'ok',
  ],
  [
    'what is no placeholder',
    ofTask({ process: { command: ['a'], env: ['A={{.Task.Sloth}}'] } }),
    'INVALID_SPEC env: {{.Task.Sloth}} is no placeholder',
  ],
  ['an image', ofImage('nginx'), 'ok'],
  ['an image with all parts', ofImage(`ghcr.io:443/a/b_c:1.0@sha256:${'a'.repeat(64)}`), 'ok'],
  ['capitals', ofImage('Nginx'), 'INVALID_SPEC image: "Nginx" is no image reference'],
  ['no image', ofImage(''), 'INVALID_SPEC image: no image is named'],
  ['a port', ofPort({ target: 80, published: 8080 }), 'ok'],
  ['no target', ofPort({ published: 8080 }), 'INVALID_SPEC endpoint.ports.target: 0 is no port'],
  [
    'a high port',
    ofPort({ target: 80, published: 70_000 }),
    'INVALID_SPEC endpoint.ports.published: 70000 is no port',
  ],
  [
    'the same port twice',
    ofPort({ target: 80, published: 8080 }, { target: 81, published: 8080 }),
    'INVALID_SPEC endpoint.ports: port 8080/tcp is published twice',
  ],
  [
    'the same port of two protocols',
    ofPort({ target: 80, published: 53 }, { target: 80, published: 53, protocol: Protocol.UDP }),
    'ok',
  ],
  [
    'PROXY protocol over UDP',
    ofPort({ target: 80, protocol: Protocol.UDP, proxyProtocolV2: true }),
    'INVALID_SPEC endpoint.ports.proxy_protocol: port 0/udp is UDP',
  ],
  [
    'dnsrr with an ingress port',
    verdict({ endpoint: { mode: EndpointMode.DNSRR, ports: [{ target: 80, published: 8080 }] } }),
    'INVALID_SPEC endpoint.mode: dnsrr with the ingress port 8080/tcp',
  ],
  [
    'a sysctl of the node',
    ofContainer({ sysctls: { 'vm.swappiness': '1' } }),
    'INVALID_SPEC sysctls: vm.swappiness belongs to the whole node, not to one container',
  ],
  ['a sysctl of the network', ofContainer({ sysctls: { 'net.ipv4.ip_forward': '1' } }), 'ok'],
  [
    'a relative device',
    ofContainer({ devices: [{ host: 'kvm', target: '/dev/kvm', permissions: 'r' }] }),
    'INVALID_SPEC devices: "kvm" is not absolute',
  ],
  [
    'a device without permissions',
    ofContainer({ devices: [{ host: '/dev/kvm', target: '/dev/kvm', permissions: 'x' }] }),
    'INVALID_SPEC devices: "x" are no permissions',
  ],
  [
    'two devices at one path',
    ofContainer({
      devices: ['/dev/a', '/dev/b'].map((host) => ({ host, target: '/dev/a', permissions: 'r' })),
    }),
    'INVALID_SPEC devices: /dev/a is given twice',
  ],
  ['text as a profile', ofContainer({ seccomp: 'none' }), 'INVALID_SPEC seccomp: it is no JSON'],
  [
    'a profile without a default',
    ofContainer({ seccomp: '{"syscalls":[]}' }),
    'INVALID_SPEC seccomp: it has no defaultAction',
  ],
  [
    'a profile with an unknown action',
    ofContainer({ seccomp: '{"defaultAction":"DENY"}' }),
    'INVALID_SPEC seccomp: "DENY" is no defaultAction',
  ],
  [
    'swap without a limit of memory',
    ofContainer({ swapBytes: 1 << 20 }),
    'INVALID_SPEC swap: there is no limit of memory',
  ],
  [
    'swap beyond the limit',
    ofContainer({ swapBytes: -1 }, { limits: { memoryBytes: 64 << 20 } }),
    'ok',
  ],
  [
    'swappiness of 101',
    ofContainer({ swappiness: { percent: 101 } }),
    'INVALID_SPEC swappiness: 101',
  ],
  ['one cpu share', ofContainer({ cpuShares: 1 }), 'INVALID_SPEC cpu_shares: 1'],
  ['a blkio weight of 5', ofContainer({ blkioWeight: 5 }), 'INVALID_SPEC blkio_weight: 5'],
  [
    'a kind with a space',
    ofTask({ reservations: { generic: { 'g pu': 1 } } }),
    'INVALID_SPEC reservations.generic: "g pu" is no kind',
  ],
  [
    'a rollback that rolls back',
    verdict({ rollback: { failureAction: FailureAction.ROLLBACK } }),
    'INVALID_SPEC rollback.failure_action: a rollback cannot be rolled back',
  ],
  [
    'a log driver that ships logs away',
    ofTask({ logDriver: { name: 'syslog' } }),
    'INVALID_SPEC log_driver: there is no log driver syslog: each node keeps the logs of its tasks (swarm logs)',
  ],
  ['a bounded log', ofTask({ logDriver: { options: { 'max-size': '5m' } } }), 'ok'],
  [
    'a tmpfs of a size with a unit',
    ofContainer({ mounts: [{ type: 'tmpfs', target: '/t', options: { 'tmpfs-size': '1m' } }] }),
    'INVALID_SPEC mounts.tmpfs-size: "1m" is no size',
  ],
  [
    'a directory out of its volume',
    ofContainer({
      mounts: [
        { type: 'volume', source: 'v', target: '/v', options: { 'volume-subpath': 'a/../..' } },
      ],
    }),
    'INVALID_SPEC mounts.volume-subpath: "a/../.." is not in the volume',
  ],
  [
    'a ratio above 1',
    verdict({ update: { maxFailureRatio: 1.5 } }),
    'INVALID_SPEC update.max_failure_ratio: 1.5',
  ],
];

for (const [name, got, wanted] of GOLDEN)
  test(`validation of ${name}`, () => assert.equal(got, wanted));

test('an error of a spec says what is allowed', () => {
  assert.throws(() => validateService(aSpec({ name: 'a b' })), {
    advice: 'Allowed: 1 to 63 letters and digits, with - and _ inside.',
  });
});

const SPECS = fc.record({
  name: fc.stringMatching(/^[a-z]([a-z0-9-]{0,20}[a-z0-9])?$/),
  labels: fc.dictionary(fc.stringMatching(/^[a-z.]{1,8}$/), fc.string({ maxLength: 8 })),
  replicas: fc.nat(100),
  task: fc.record(
    {
      process: fc.record(
        {
          command: fc.array(fc.stringMatching(/^[a-z/]{1,8}$/), { minLength: 1, maxLength: 3 }),
          env: fc.array(fc.stringMatching(/^[A-Z]{1,4}=[a-z ]{0,4}$/), { maxLength: 3 }),
          stopSignal: fc.constantFrom('', 'TERM', 'sigint', '9', '40'),
          stopGraceMs: fc.nat(100_000),
        },
        { requiredKeys: ['command'] },
      ),
      restart: fc.record({
        condition: fc.constantFrom(...Object.values(RestartCondition)),
        delayMs: fc.nat(10_000),
        maxAttempts: fc.nat(5),
      }),
      health: fc.record({ tcp: fc.constant(':80'), intervalMs: fc.nat(1_000) }),
      ready: fc.record({ http: fc.constant(':80/x'), timeoutMs: fc.nat(1_000) }),
      onDisconnect: fc.constantFrom(...Object.values(OnDisconnect)),
      drainTimeMs: fc.nat(1_000),
    },
    { requiredKeys: ['process'] },
  ),
  update: fc.option(
    fc.record({
      parallelism: fc.nat(10),
      order: fc.constantFrom(...Object.values(UpdateOrder)),
      maxFailureRatio: fc.double({ min: 0, max: 1, noNaN: true }),
    }),
  ),
  endpoint: fc.option(
    fc.record({
      ports: fc.uniqueArray(
        fc.record({
          target: fc.integer({ min: 1, max: 65_535 }),
          published: fc.integer({ min: 1, max: 65_535 }),
          mode: fc.constantFrom(...Object.values(PublishMode)),
        }),
        { selector: (port) => port.published, maxLength: 4 },
      ),
    }),
  ),
});

test('an accepted spec has all its defaults, once and for all, also after the wire', () => {
  fc.assert(
    fc.property(SPECS, (init) => {
      const spec = ServiceSpec.create(init as Init<ServiceSpec>);
      validateService(spec);
      const full = withDefaults(spec);
      validateService(full);
      const { task, update, rollback, endpoint } = full;
      assert.ok(task?.restart && task.placement && task.limits && task.reservations);
      assert.ok(update && rollback && endpoint);
      assert.ok(update.progressDeadlineMs > 0 && rollback.progressDeadlineMs > 0);
      assert.ok(task.process!.stopGraceMs > 0 && task.drainTimeMs > 0);
      assert.match(task.process!.stopSignal, /^(SIG[A-Z]+|\d+)$/);
      assert.equal(task.onDisconnectAfterMs > 0, task.onDisconnect === OnDisconnect.STOP);
      if (task.health) assert.ok(task.health.intervalMs > 0 && task.health.retries === 3);
      if (task.ready) assert.ok(task.ready.intervalMs > 0 && task.ready.timeoutMs > 0);
      assert.ok(sameSpec(full, withDefaults(full)), 'defaults are idempotent');
      assert.ok(sameSpec(full, ServiceSpec.decode(ServiceSpec.encode(full))), 'round trip');
    }),
    { numRuns: 200 },
  );
});

test('an absent restart policy waits 5 s, one that is given is taken as it is', () => {
  assert.equal(withDefaults(aSpec()).task!.restart!.delayMs, 5_000);
  const given = aSpec({
    task: { process: { command: ['a'] }, restart: { condition: RestartCondition.ON_FAILURE } },
  });
  assert.equal(withDefaults(given).task!.restart!.delayMs, 0);
});

test('an absent update config goes one at a time, watched for 5 s', () => {
  const { update } = withDefaults(aSpec());
  assert.deepEqual([update!.parallelism, update!.monitorMs], [1, 5_000]);
});
