import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { DevCluster } from '../../support/dev-cluster.ts';
import { Load, type Target } from '../../support/load.ts';
import { ordinaryUser, type Person, whoRuns } from '../../support/people.ts';

const PORT = 22_100;
const PER_SECOND_EACH = 200;

const root = whoRuns().uid === 0;
/** Everything as who runs the tests; an ordinary user's cluster is tried as well, more shortly. */
for (const [person, updates] of root
  ? ([
      [whoRuns(), 10],
      [ordinaryUser(), 2],
    ] as const)
  : ([[whoRuns(), 10]] as const))
  describe(`hello under load, by ${person.name}`, () => underLoad(person, updates));

function underLoad(person: Person, updates: number): void {
  let cluster: DevCluster;
  let targets: Target[];

  before(async () => {
    cluster = await DevCluster.up(3, 2, person.options, person.tempDir);
    targets = (await cluster.nodes()).map(({ host }) => ({ host, port: PORT }));
  });
  after(async () => {
    await cluster?.down();
    person.remove();
  });

  test(`${updates} updates, half of them stop-first and half start-first, lose no request`, async (t) => {
    const spec = ['--replicas', '4', '--update-parallelism', '2', '--drain-time', '500ms'];
    const monitor = ['--update-monitor', '200ms'];
    // Without a readiness check a task may get connections before it listens: those go elsewhere.
    const ready = updates < 10 ? [] : ['--ready-http', ':80/healthz', '--ready-interval', '200ms'];
    const publish = ['-p', `${PORT}:80`, ...ready];
    const create = [
      'service',
      'create',
      '-q',
      '--name',
      'hello',
      ...person.user,
      ...spec,
      ...monitor,
    ];
    await cluster.must('m1', [...create, ...publish, '--process', 'hello']);
    const load = new Load(targets, PER_SECOND_EACH);
    for (let version = 1; version <= updates; version++) {
      const order = version <= updates / 2 ? 'stop-first' : 'start-first';
      const change = ['--update-order', order, '--env-add', `HELLO_VERSION=v${version}`];
      await cluster.must('m1', ['service', 'update', '-q', ...change, 'hello']);
    }
    const { sent, answered, lost, resent, bodies } = await load.stop();
    const versions = new Set([...bodies.keys()].map((body) => /version (\S+)/.exec(body)?.[1]));
    t.diagnostic(
      `${sent} requests to ${targets.length} nodes, ${lost.length} lost, ${resent} resent`,
    );
    assert.deepEqual(lost, []);
    assert.equal(answered, sent);
    assert.equal(versions.size, updates + 1, 'every version has answered');
  });
}
