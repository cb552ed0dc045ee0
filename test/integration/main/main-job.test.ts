import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { DevCluster } from '../../support/dev-cluster.ts';
import { Load } from '../../support/load.ts';
import { ordinaryUser, type Person, whoRuns } from '../../support/people.ts';
import { get, until } from '../../support/swarm.ts';

/**
 * The main job, end to end, as a short story: machines become a cluster, a service runs on it, an
 * update rolls through it, things die, everything is stopped and started. Told twice: by whoever
 * runs the tests, and by an ordinary user. `npm run test:nodes` tells it on other Node.js releases.
 */
const people: Person[] = [whoRuns()];
if (process.getuid?.() === 0) people.push(ordinaryUser());

for (const [at, person] of people.entries()) {
  describe(`the main job, by ${person.name}`, () => story(person, 23_100 + at));
}

function story(person: Person, port: number): void {
  let cluster: DevCluster;
  let load: Load;

  before(async () => {
    cluster = await DevCluster.up(3, 2, person.options, person.tempDir);
  });
  after(async () => {
    await load?.stop();
    await cluster?.down();
    person.remove();
  });

  test('five nodes are ready, three of them managers', async () => {
    const nodes = await cluster.rows<{ Status: string; ManagerStatus: string }>('m1', [
      'node',
      'ls',
    ]);
    assert.deepEqual(
      nodes.map((node) => node.Status),
      Array(5).fill('Ready'),
    );
    assert.equal(nodes.filter((node) => node.ManagerStatus !== '').length, 3);
  });

  test('a service is created and answers on every node', async () => {
    const args = ['service', 'create', '--name', 'hello', '--replicas', '3', '-p', `${port}:80`];
    await cluster.must('m2', [
      ...args,
      '--update-monitor',
      '500ms',
      '--drain-time',
      '500ms',
      ...person.user,
      '--process',
      'hello',
    ]);
    for (const { host } of await cluster.nodes()) {
      assert.match((await get(host, port)).body, /Hello from hello\.[123]\./, host);
    }
    load = new Load(
      (await cluster.nodes()).map(({ host }) => ({ host, port })),
      20,
    );
  });

  test('it is scaled up', async () => {
    await cluster.must('m1', ['service', 'scale', 'hello=5']);
    await cluster.untilRunning('m1', 'hello', 5);
  });

  test('an update rolls through it', async () => {
    await cluster.must('m3', ['service', 'update', '--env-add', 'HELLO_VERSION=two', 'hello']);
    const tasks = await cluster.running('m1', 'hello');
    assert.deepEqual([...new Set(tasks.map((task) => task.Revision))].length, 1);
    const [first] = await cluster.nodes();
    assert.match((await get(first!.host, port)).body, /version two/);
  });

  test('another manager leads when the leader is killed, and writes go on', async () => {
    const leader = await cluster.leader('m1');
    const other = leader === 'm1' ? 'm2' : 'm1';
    await cluster.dev('kill', leader);
    await cluster.must(other, ['node', 'update', '--label-add', 'seen=yes', 'w1']);
    assert.notEqual(await cluster.leader(other), leader);
    await cluster.dev('start', leader);
    await until('the killed manager to be back', async () => {
      const nodes = await cluster.rows<{ Hostname: string; ManagerStatus: string }>(other, [
        'node',
        'ls',
      ]);
      return nodes.find((n) => n.Hostname === leader)?.ManagerStatus === 'Reachable' || undefined;
    });
  });

  test('nothing of this lost a request', async () => {
    const result = await load.stop();
    assert.deepEqual(result.lost, []);
    assert.ok(result.answered > 100, `${result.answered} answered`);
  });

  test('a cluster that was stopped as a whole is the same cluster when it starts', async () => {
    // They stop one after the other: those that still run shall not take the others for lost.
    await cluster.must('m1', ['cluster', 'update', '--node-grace', '60s']);
    const before = await cluster.running('m1', 'hello');
    const nodes = await cluster.nodes();
    for (const { name } of nodes) await cluster.dev('stop', name);
    assert.match((await get(nodes[3]!.host, port)).body, /version two/, 'tasks and ports go on');
    for (const { name } of nodes) await cluster.dev('start', name);
    const now = await cluster.untilRunning('m1', 'hello', 5);
    assert.deepEqual(now.map((task) => task.ID).sort(), before.map((task) => task.ID).sort());
  });

  test('a service that is removed leaves nothing behind', async () => {
    await cluster.must('m1', ['service', 'rm', 'hello']);
    assert.deepEqual(await cluster.rows('m1', ['service', 'ls']), []);
    const [first] = await cluster.nodes();
    await assert.rejects(get(first!.host, port, '/', 1_000));
  });
}
