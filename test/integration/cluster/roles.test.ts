import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Liveness } from '../../../proto/index.ts';
import { Api } from '../../support/api.ts';
import { DevCluster } from '../../support/dev-cluster.ts';
import { ordinaryUser, type Person } from '../../support/people.ts';
import { isRunning } from '../../support/processes.ts';
import { persons } from '../../support/stage.ts';
import { until } from '../../support/swarm.ts';

interface NodeRow {
  readonly Hostname: string;
  readonly Status: string;
  readonly Availability: string;
  readonly ManagerStatus: string;
  readonly Role: string;
}

for (const person of persons(ordinaryUser))
  describe(`nodes of ${person.name} change their roles`, () => roles(person));

function roles(person: Person): void {
  let cluster: DevCluster;
  const apis: Api[] = [];
  const api = async (via: string): Promise<Api> => {
    const open = new Api(await cluster.socket(via));
    apis.push(open);
    return open;
  };
  const pids = async (): Promise<(number | undefined)[]> =>
    Promise.all(
      ['m1', 'w1', 'w2', 'w3'].map(async (name) => {
        const [info] = await cluster.rows<{ PID: number }>(name, ['info']);
        return info!.PID;
      }),
    );
  const voters = async (via: string, count: number): Promise<NodeRow[]> =>
    until(`${count} managers seen from ${via}`, async () => {
      const rows = await cluster.rows<NodeRow>(via, ['node', 'ls']);
      const found = rows.filter((r) => ['Leader', 'Reachable'].includes(r.ManagerStatus));
      return found.length === count ? found : undefined;
    });

  before(async () => {
    cluster = await DevCluster.up(1, 3, person.options, person.tempDir);
  });
  after(async () => {
    for (const open of apis) open.close();
    await cluster?.down();
    person.remove();
  });

  test('three commands make a cluster of one manager highly available, nothing restarted', async () => {
    const before = await pids();
    await cluster.must('m1', ['node', 'promote', 'w1', 'w2']);
    await voters('m1', 3);
    assert.deepEqual(await pids(), before);
    for (const via of ['w1', 'w2'])
      assert.equal((await cluster.rows<NodeRow>(via, ['node', 'ls'])).length, 4);
    await cluster.dev('kill', 'm1');
    await cluster.must('w1', ['node', 'update', '--label-add', 'kept=yes', 'w3']);
    await cluster.dev('start', 'm1');
    await voters('w1', 3);
  });

  test('a demoted leader hands over and goes on as a worker', async () => {
    const m1 = await api('m1');
    const before = await m1.leader();
    const others = ['m1', 'w1', 'w2'].filter((name) => name !== before);
    const [info] = await cluster.rows<{ PID: number }>(before, ['info']);
    await cluster.must(others[0]!, ['node', 'demote', before]);
    const rows = await voters(others[0]!, 2);
    assert.ok(!rows.some((row) => row.Hostname === before));
    const now = await until(`${before} to be a worker`, async () => {
      const [self] = await cluster.rows<{ State: string; PID: number }>(before, ['info']);
      return self!.State === 'worker' ? self : undefined;
    });
    assert.equal(now.PID, info!.PID);
    const refused = await cluster.swarm(before, ['node', 'ls']);
    assert.equal(refused.code, 5);
    assert.match(refused.stderr, /is a worker/);
    await cluster.must(others[0]!, ['node', 'promote', before]);
    await voters(others[0]!, 3);
  });

  test('a demotion that would cost the quorum is refused with who is missing', async () => {
    const leader = await (await api('w1')).leader();
    const [lost, spare] = ['m1', 'w1', 'w2'].filter((name) => name !== leader);
    await cluster.dev('kill', lost!);
    const ran = await until('the loss to be noticed', async () => {
      const rows = await cluster.rows<NodeRow>(leader, ['node', 'ls']);
      const row = rows.find((candidate) => candidate.Hostname === lost);
      return row!.ManagerStatus === 'Unreachable' || undefined;
    }).then(() => cluster.swarm(leader, ['node', 'demote', spare!]));
    assert.equal(ran.code, 4, ran.stderr);
    assert.match(ran.stderr, new RegExp(`lose its quorum.*${lost}`));
    await cluster.dev('start', lost!);
    await voters(leader, 3);
    const last = await cluster.swarm(leader, ['node', 'rm', spare!]);
    assert.equal(last.code, 4);
    assert.match(last.stderr, /is a manager/);
  });

  test('labels and availability are changed, shown and filtered by', async () => {
    const update = ['node', 'update', '--label-add', 'zone=east', '--availability', 'pause', 'w3'];
    await cluster.must('w1', update);
    const [w3] = await cluster.rows<NodeRow>('w1', ['node', 'ls', '--filter', 'name=w3']);
    assert.equal(w3!.Availability, 'Pause');
    const inspected = JSON.parse(await cluster.must('w2', ['node', 'inspect', 'w3']));
    assert.deepEqual(inspected[0].Labels, { kept: 'yes', zone: 'east' });
    const east = await cluster.rows('w1', ['node', 'ls', '--filter', 'node.label=zone=east']);
    assert.equal(east.length, 1);
    await cluster.must('w1', [
      'node',
      'update',
      '--label-rm',
      'zone',
      '--availability',
      'active',
      'w3',
    ]);
  });

  test('a drained node loses its tasks, an active one may have them again', async () => {
    const w1 = await api('w1');
    const make = ['service', 'create', '-q', '--name', 'spread', '--replicas', '4', ...person.user];
    await cluster.must('w1', [...make, '--process', 'sleep', '1000']);
    await w1.untilRunning('spread', 4, (tasks) => tasks.some((t) => t.nodeName === 'w3'));
    await cluster.must('w1', ['node', 'update', '--availability', 'drain', 'w3']);
    await w1.untilRunning('spread', 4, (tasks) => tasks.every((t) => t.nodeName !== 'w3'));
    assert.deepEqual(
      await cluster.rows('w1', ['node', 'ps', 'w3', '--filter', 'desired-state=running']),
      [],
    );
    await cluster.must('w1', ['node', 'update', '--availability', 'active', 'w3']);
  });

  test('a removed node is told so, ends its tasks, and can join again', async () => {
    const w1 = await api('w1');
    const pinned = ['--name', 'pinned', '--constraint', 'node.hostname==w3', ...person.user];
    await cluster.must('w1', ['service', 'create', '-q', ...pinned, '--process', 'sleep', '1000']);
    const [task] = await w1.untilRunning('pinned', 1);
    const refused = await cluster.swarm('w1', ['node', 'rm', 'w3']);
    assert.equal(refused.code, 4);
    assert.match(refused.stderr, /is up.*\n.*--force/);
    await cluster.must('w1', ['node', 'rm', '--force', 'w3']);
    await until('its task to end', () => (isRunning(task!.status!.pid) ? undefined : true));
    const info = await until('w3 to know that it was removed', async () => {
      const [self] = await cluster.rows<{ State: string; Error: string }>('w3', ['info']);
      return self!.State === 'error' ? self : undefined;
    });
    assert.match(info.Error, /was removed from its cluster/);
    await cluster.dev('kill', 'w3');
    await cluster.dev('start', 'w3');
    await until('w3 to be told again after a restart', async () => {
      const [self] = await cluster.rows<{ State: string }>('w3', ['info']);
      return self!.State === 'error' ? true : undefined;
    });
    assert.ok(!(await w1.nodes()).some((view) => view.node!.name === 'w3'));
    await cluster.must('w3', ['leave', '--force']);
    const { address, host, dir } = await cluster.node('w3');
    const token = await cluster.must('w1', ['join-token', '-q', 'worker']);
    const where = ['--state-dir', dir, '--listen-addr', address, '--publish-addr', host];
    const allow = person.uid === 0 ? ['--allow-process'] : [];
    const manager = (await cluster.node('w1')).address;
    const socket = ['--socket', await cluster.socket('w3')];
    const words = [...socket, 'join', '--token', '-', '--name', 'w3', ...where, ...allow, manager];
    await cluster.must('w3', words, { input: token });
    await w1.untilRunning('pinned', 1, ([t]) => t!.nodeName === 'w3');
    const ready = (await w1.nodes()).filter((v) => v.status?.liveness === Liveness.READY);
    assert.equal(ready.length, 4);
  });

  // Last: what it does to the managers is not repaired.
  test('a manager that was away follows one that was made meanwhile, and costs it nothing', async () => {
    const leader = await (await api('w1')).leader();
    const [away, out] = ['m1', 'w1', 'w2'].filter((name) => name !== leader) as [string, string];
    await cluster.dev('kill', away);
    await cluster.must(leader, ['node', 'promote', 'w3']);
    await voters(leader, 3);
    await cluster.must(leader, ['node', 'demote', out]);
    await voters(leader, 2);
    await cluster.must(leader, ['node', 'update', '--label-add', 'seen=yes', out]);
    await cluster.dev('kill', leader);
    // The two that are left are a quorum, and only one of them knows of the other.
    await cluster.dev('start', away);
    await cluster.must('w3', ['node', 'update', '--label-add', 'written=yes', out]);
    for (const via of ['w3', away]) {
      const [inspected] = JSON.parse(await cluster.must(via, ['node', 'inspect', out]));
      assert.deepEqual(inspected.Labels, { seen: 'yes', written: 'yes' });
    }
  });
}
