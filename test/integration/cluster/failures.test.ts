import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { TaskState } from '../../../proto/index.ts';
import { Api, identities } from '../../support/api.ts';
import { DevCluster, netdOf } from '../../support/dev-cluster.ts';
import { ordinaryUser, type Person, whoRuns } from '../../support/people.ts';
import { isRunning } from '../../support/processes.ts';
import { findSecrets } from '../../support/secrets.ts';
import { get, ROOT, until } from '../../support/swarm.ts';

const PORT = 21_100;

/** Each person's cluster: three managers and two workers, hurt in one way after the other. */
for (const person of whoRuns().uid === 0 ? [whoRuns(), ordinaryUser()] : [whoRuns()])
  describe(`a cluster of ${person.name}, hurt`, () => hurt(person));

function hurt(person: Person): void {
  let cluster: DevCluster;
  const apis = new Map<string, Api>();
  const api = async (via = 'm1'): Promise<Api> => {
    const known = apis.get(via) ?? new Api(await cluster.socket(via));
    apis.set(via, known);
    return known;
  };
  const create = (name: string, ...words: string[]): Promise<string> =>
    cluster.must('m1', ['service', 'create', '-q', '--name', name, ...person.user, ...words]);
  const files = person.tempDir();

  before(async () => {
    cluster = await DevCluster.up(3, 2, person.options, person.tempDir);
  });
  after(async () => {
    for (const open of apis.values()) open.close();
    await cluster?.down();
    files.remove();
    person.remove();
  });

  test('a killed task is restarted by its policy, or stays ended by it', async () => {
    const m1 = await api();
    await create('again', '--restart-delay', '100ms', '--process', 'sleep', '1000');
    await create('once', '--restart-condition', 'none', '--process', 'sleep', '1000');
    const [again] = await m1.running('again');
    const [once] = await m1.running('once');
    process.kill(once!.status!.pid, 'SIGKILL');
    process.kill(again!.status!.pid, 'SIGKILL');
    const [next] = await m1.untilRunning('again', 1, ([t]) => t!.task!.id !== again!.task!.id);
    assert.equal(next!.task!.slot, again!.task!.slot);
    const [ended] = await until('the task to be known as ended', async () => {
      const tasks = await m1.tasks('once');
      return tasks.every((t) => t.state > TaskState.RUNNING) ? tasks : undefined;
    });
    assert.equal(ended!.state, TaskState.FAILED);
    assert.equal(ended!.status!.exitCode, 137);
    assert.equal((await m1.tasks('once')).length, 1);
    await cluster.must('m1', ['service', 'rm', 'again', 'once']);
  });

  test('a killed netd is back, and published ports answer again', async () => {
    await create('web', '--replicas', '4', '-p', `${PORT}:80`, '--process', 'hello');
    const worker = await cluster.node('w1');
    await answers(worker.host);
    const netd = netdOf(worker)!;
    process.kill(netd, 'SIGKILL');
    await until('the end of netd', () => (isRunning(netd) ? undefined : true));
    await answers(worker.host);
    assert.notEqual(netdOf(worker), netd);
  });

  test('tasks go on without their daemon and are adopted when it is back', async () => {
    const m1 = await api();
    const go = join(files.path, 'go');
    const here = ['--constraint', 'node.hostname==w2', '--restart-condition', 'none'];
    await create('stays', '--replicas', '3', ...here, '--process', 'sleep', '1000');
    const wait = `while [ ! -e ${go} ]; do sleep 0.05; done; exit 7`;
    await create('ends', ...here, '--process', 'sh', '-c', wait);
    const before = identities(await m1.running('stays'));
    const [ending] = await m1.running('ends');
    await cluster.must('m1', ['cluster', 'update', '--node-grace', '1m']);
    await cluster.dev('kill', 'w2');
    writeFileSync(go, '');
    await until('the task to end', () => (isRunning(ending!.status!.pid) ? undefined : true));
    await cluster.dev('start', 'w2');
    const ended = await until('the exit code', async () => {
      const [task] = await m1.tasks('ends');
      return task!.state > TaskState.RUNNING ? task : undefined;
    });
    assert.equal(ended.task!.id, ending!.task!.id);
    assert.equal(ended.state, TaskState.FAILED);
    assert.equal(ended.status!.exitCode, 7);
    assert.deepEqual(identities(await m1.running('stays')), before);
    assert.equal((await m1.tasks('stays')).length, 3);
    await cluster.must('m1', ['cluster', 'update', '--node-grace', '4s']);
    await cluster.must('m1', ['service', 'rm', 'stays', 'ends']);
  });

  test('tasks of a lost worker run elsewhere; back, it stops what was superseded', async () => {
    const m1 = await api();
    await create('moves', '--replicas', '5', '--process', 'sleep', '1000');
    const before = await m1.running('moves');
    const there = before.filter((t) => t.nodeName === 'w1');
    assert.ok(there.length > 0);
    await cluster.dev('kill', 'w1');
    await m1.untilRunning('moves', 5, (tasks) => tasks.every((t) => t.nodeName !== 'w1'));
    for (const { status } of there) assert.ok(isRunning(status!.pid), 'it ran on alone');
    await cluster.dev('start', 'w1');
    await until('the superseded tasks to be stopped', () =>
      there.some(({ status }) => isRunning(status!.pid)) ? undefined : true,
    );
    await until('w1 to be ready', async () =>
      (await m1.nodes()).every((view) => view.status?.liveness === 1) ? true : undefined,
    );
    assert.equal((await m1.running('moves')).length, 5);
    await cluster.must('m1', ['service', 'rm', 'moves']);
  });

  test('a killed leader is followed by another with every acknowledged write', async () => {
    const before = identities(await (await api()).running('web'));
    await cluster.must('m1', ['cluster', 'update', '--node-grace', '1m']);
    const acknowledged: string[] = [];
    const victims: string[] = [];
    for (let round = 0; round < 2; round++) {
      const leader = await (await api()).leader();
      const survivor = await api(leader === 'm2' ? 'm3' : 'm2');
      const writing = write(survivor, 'web', `r${round}-`, acknowledged, 30);
      await until('some writes', () => (acknowledged.length % 30 > 5 ? true : undefined));
      await cluster.dev('kill', leader);
      await writing;
      const next = await survivor.leader();
      assert.notEqual(next, leader);
      victims.push(leader);
      await cluster.dev('start', leader);
      await managersReachable(survivor, 3);
    }
    const { service } = await (await api()).service('web');
    const labels = service!.spec!.labels;
    assert.equal(acknowledged.length, 60);
    for (const key of acknowledged) assert.equal(labels[key], 'x', `${key} was acknowledged`);
    assert.deepEqual(identities(await (await api()).running('web')), before);
    await cluster.must('m1', ['cluster', 'update', '--node-grace', '4s']);
  });

  test('a rolling update goes on over the end of its leader', async () => {
    const leader = await (await api()).leader();
    const survivor = await api(leader === 'm2' ? 'm3' : 'm2');
    const via = leader === 'm2' ? 'm3' : 'm2';
    const update = ['--update-monitor', '300ms', '--update-order', 'start-first'];
    await cluster.must(via, ['service', 'update', '-d', ...update, '-e', 'HELLO_VERSION=2', 'web']);
    await survivor.untilRunning('web', 4, (tasks) => tasks.some((t) => t.task!.revision > 1));
    await cluster.dev('kill', leader);
    await survivor.untilRunning('web', 4, (tasks) => tasks.every((t) => t.task!.revision > 1));
    const { host } = await cluster.node('w1');
    assert.match((await get(host, PORT)).body, /version 2/);
    await cluster.dev('start', leader);
    await managersReachable(survivor, 3);
  });

  // What an ordinary user's cluster does no differently is shown once.
  if (person.uid === whoRuns().uid)
    test('logs that somebody follows go on over leaders that end, nothing lost or twice', async (t) => {
      const script = 'i=0; while sleep 0.05; do i=$((i+1)); echo $i; done';
      const place = ['--constraint', 'node.role==worker', '--stop-grace-period', '100ms'];
      await create('counts', ...place, '--process', 'sh', '-c', script);
      const bundle = join(ROOT, 'dist', 'bundle', 'swarm.mjs');
      const words = [bundle, 'service', 'logs', '--raw', '-f', 'counts'];
      const [program, ...args] = [...(person.options.prefix ?? []), process.execPath, ...words];
      let text = '';
      for (const how of ['kill', 'stop']) {
        const leader = await (await api()).leader();
        const via = leader === 'm2' ? 'm3' : 'm2';
        const seen = (): number[] => text.split('\n').slice(0, -1).map(Number);
        const next = (count: number): Promise<number> =>
          until(`${count} lines`, () => (seen().length >= count ? seen().length : undefined));
        text = '';
        const follower = spawn(program!, args, {
          env: { ...process.env, ...person.options.env, SWARM_SOCKET: await cluster.socket(via) },
          stdio: ['ignore', 'pipe', 'ignore'],
        });
        t.after(() => follower.kill('SIGKILL'));
        follower.stdout!.on('data', (chunk: Buffer) => {
          text += chunk;
        });
        const before = await next(5);
        await cluster.dev(how, leader);
        await next(before + 20);
        const lines = seen();
        assert.deepEqual(
          lines,
          lines.map((_line, at) => at + 1),
        );
        follower.kill('SIGKILL');
        await cluster.dev('start', leader);
        await managersReachable(await api(via), 3);
      }
      await cluster.must('m1', ['service', 'rm', 'counts']);
    });

  if (person.uid === whoRuns().uid)
    test('without a quorum reads answer, marked stale, and writes name who is missing', async () => {
      await cluster.dev('kill', 'm2');
      await cluster.dev('kill', 'm3');
      await until('m1 to know that nobody leads', async () => {
        const ran = await cluster.swarm('m1', ['node', 'ls']);
        return /stale, /.test(ran.stderr) ? true : undefined;
      });
      const writing = cluster.swarm('m1', ['service', 'scale', 'web=5']);
      for (const words of [
        ['node', 'ls'],
        ['service', 'ls'],
        ['why', 'web'],
        ['service', 'ps', 'web'],
      ]) {
        const ran = await cluster.swarm('m1', words);
        assert.equal(ran.code, 0, `${words.join(' ')}: ${ran.stderr}`);
        assert.match(ran.stderr, /stale, /, words.join(' '));
        assert.match(ran.stdout, /web|m1/);
      }
      const write = await writing;
      assert.equal(write.code, 5, write.stderr);
      assert.match(write.stderr, /2 of 3 managers must answer/);
      assert.match(write.stderr, /m2 \(127\./);
      assert.match(write.stderr, /m3 \(127\./);
      const { host } = await cluster.node('w1');
      assert.equal((await get(host, PORT)).status, 200);
      await cluster.dev('start', 'm2');
      await cluster.dev('start', 'm3');
      await managersReachable(await api(), 3);
      assert.equal((await (await api()).service('web')).desired, 4);
    });

  test('all managers killed and started are the same cluster with the same tasks', async () => {
    const m1 = await api();
    const before = identities(await m1.untilRunning('web', 4));
    const clusterId = (): Promise<string> =>
      cluster.must('m1', ['info', '--format', '{{.ClusterID}}']);
    const id = await clusterId();
    for (const name of ['m1', 'm2', 'm3']) await cluster.dev('kill', name);
    for (const name of ['m1', 'm2', 'm3']) await cluster.dev('start', name);
    await managersReachable(m1, 3);
    assert.equal(await clusterId(), id);
    await until('every node to be ready', async () =>
      (await m1.nodes()).every((view) => view.status?.liveness === 1) ? true : undefined,
    );
    assert.deepEqual(identities(await m1.running('web')), before);
    const { service } = await m1.service('web');
    assert.equal(service!.spec!.labels['r0-0'], 'x');
  });

  test('no token or key is in an argument of a process, in a log or in any other file', async () => {
    const tokens = await Promise.all(
      ['worker', 'manager'].map((role) => cluster.must('m1', ['join-token', '-q', role])),
    );
    const secrets = tokens.map((token) => token.trim());
    assert.deepEqual(findSecrets(cluster.dir, secrets, ''), []);
  });
}

/** Waits until the published port of the address answers. */
function answers(host: string): Promise<true> {
  return until('the published port', async () =>
    (await get(host, PORT)).status === 200 ? true : undefined,
  );
}

/** Adds labels one by one; a key is in `acknowledged` when the cluster said that it has it. */
async function write(
  api: Api,
  service: string,
  prefix: string,
  acknowledged: string[],
  count: number,
): Promise<void> {
  for (let i = 0; i < count; i++) {
    const key = `${prefix}${i}`;
    await until(`the write ${key}`, async () => {
      await api.label(service, { [key]: 'x' });
      return true;
    });
    acknowledged.push(key);
  }
}

async function managersReachable(api: Api, count: number): Promise<void> {
  await until(`${count} reachable managers`, async () => {
    const nodes = await api.nodes();
    const managers = nodes.filter((view) => view.member && view.reachable);
    if (managers.length === count && nodes.some((view) => view.leader)) return true;
    const seen = nodes.map((v) => `${v.node!.name} ${v.leader} ${v.reachable}`);
    throw new Error(seen.join(', '));
  });
}
