import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { ControlService, Ref, ServiceSpec, UpdateServiceRequest } from '../../../proto/index.ts';
import { dial } from '../../../shared/rpc/client.ts';
import { type Api, identities } from '../../support/api.ts';
import { type LooseNode, LooseNodes } from '../../support/loose-nodes.ts';
import { ordinaryUser, type Person, whoRuns } from '../../support/people.ts';
import { persons } from '../../support/stage.ts';
import { swarm, until } from '../../support/swarm.ts';

/** What is typed, the exit code, and what the one error says. */
const REFUSED: readonly (readonly [string, number, RegExp])[] = [
  // Flags and words.
  ['nonsense', 2, /nonsense/],
  ['service nonsense', 2, /nonsense/],
  ['service create --nonsense hello', 2, /--nonsense/],
  ['service create --process', 2, /\w/],
  ['service create --replicas many --process true', 2, /replicas.*many/],
  ['service create --replicas -1 --process true', 2, /replicas/],
  ['service create --replicas 1000000 --process true', 2, /replicas/],
  ['service create --env =x --process true', 2, /env/i],
  ['service create --publish 99999:80 --process true', 2, /99999/],
  ['service create --publish 80:80:80:80 --process true', 2, /80:80:80:80/],
  ['service create --constraint node.hostname=a --process true', 2, /node\.hostname=a/],
  ['service create --mode sometimes --process true', 2, /sometimes/],
  ['service create --restart-condition often --process true', 2, /often/],
  ['service create --update-order sideways --process true', 2, /sideways/],
  ['service create --stop-grace-period soon --process true', 2, /soon/],
  ['service create --limit-memory lots --process true', 2, /lots/],
  ['service create --name bad/name --process true', 2, /bad\/name/],
  ['service create --health-retries -1 --health-cmd true --process true', 2, /health-retries/],
  ['service create --mode global --replicas 2 --process true', 2, /global/],
  ['service scale keeps', 2, /keeps/],
  ['service scale keeps=x', 2, /x/],
  ['service update', 2, /SERVICE|argument/i],
  ['service rollback --to x keeps', 2, /x/],
  ['node update a', 2, /nothing to change/],
  ['node update --availability asleep a', 2, /asleep/],
  ['node update --role king a', 2, /king/],
  ['cluster update --node-grace 1s', 2, /--node-grace: 1000 ms/],
  ['cluster update --cert-expiry 1s', 2, /cert/],
  ['cluster update --task-history-limit -5', 2, /task-history-limit/],
  ['join-token king', 2, /king/],
  ['node ls --filter nonsense=1', 2, /nonsense/],
  ['service ls --format {{.Nonsense', 2, /\w/],
  // Names.
  ['service inspect nothing', 3, /no service "nothing"/],
  ['service inspect keep', 3, /did you mean keeps/],
  ['service ps nothing', 3, /no service "nothing"/],
  ['service update --env-add A=b nothing', 3, /no service "nothing"/],
  ['service rm nothing', 3, /no service "nothing"/],
  ['service logs nothing', 3, /nothing/],
  ['node inspect nothing', 3, /no node "nothing"/],
  ['node rm nothing', 3, /no node "nothing"/],
  ['node promote nothing', 3, /no node "nothing"/],
  ['task inspect nothing', 3, /no task "nothing"/],
  ['why nothing', 3, /nothing/],
  // What stands against it.
  ['service create --name keeps --process true', 4, /keeps/],
  ['node demote a', 4, /last manager/],
  ['node rm a', 4, /is a manager/],
  ['service rollback keeps', 3, /nothing to go back to/],
];

for (const person of persons(ordinaryUser))
  describe(`what ${person.name} cannot do`, () => badInput(person));

function badInput(person: Person): void {
  const nodes = new LooseNodes(person);
  const { user } = person;
  let a: LooseNode;
  let api: Api;
  before(async () => {
    a = await nodes.add('a');
    await nodes.init(a);
    const words = ['service', 'create', '-q', '--name', 'keeps', '--replicas', '2', ...user];
    await nodes.must(a, [...words, '-p', '21150:80', '--process', 'hello']);
    api = nodes.api(a);
  });
  after(async () => {
    await nodes.down();
    person.remove();
  });

  /** Everything that a command could have changed. */
  async function state(): Promise<unknown> {
    const kept = await api.service('keeps');
    const services = await nodes.rows(a, ['service', 'ls', '--no-trunc']);
    const cluster = JSON.parse(await nodes.must(a, ['cluster', 'inspect'])) as unknown[];
    const [node] = await api.nodes();
    return {
      version: kept.service!.version,
      tasks: identities(await api.running('keeps')),
      services,
      spec: (cluster[0] as { Spec: unknown }).Spec,
      node: node!.node!.version,
    };
  }

  test('is refused with one error and its exit code, and nothing was changed', async () => {
    const before = await state();
    const wrong: string[] = [];
    // What the command line alone refuses is the same for everybody: once is enough.
    const left = REFUSED.filter(([, code]) => code > 2 || person.uid === whoRuns().uid);
    const one = async (): Promise<void> => {
      for (let next = left.shift(); next !== undefined; next = left.shift()) {
        const [line, code, says] = next;
        const ran = await nodes.swarm(a, line.split(' '), { timeoutMs: 15_000 });
        const errors = ran.stderr.match(/^Error: /gm)?.length ?? 0;
        const good = ran.code === code && errors === 1 && says.test(ran.stderr);
        if (!good || /^ {4}at /m.test(ran.stderr))
          wrong.push(`swarm ${line}: exit ${ran.code}\n${ran.stdout}${ran.stderr}`);
      }
    };
    await Promise.all([one(), one(), one()]);
    assert.equal(wrong.join('\n'), '');
    assert.deepEqual(await state(), before);
  });

  test('an ambiguous prefix lists what it could mean', async () => {
    const ids = (await api.tasks('keeps')).map(({ task }) => task!.id);
    await nodes.must(a, ['service', 'scale', '-d', `keeps=${ids.length + 20}`]);
    // 22 ids and 36 letters: two that begin alike are all but certain, and checked when there are.
    const all = await until('many tasks', async () => {
      const tasks = (await api.tasks('keeps')).map(({ task }) => task!.id);
      return tasks.length >= 20 ? tasks : undefined;
    });
    const letters = all.map((id) => id[0]!);
    const twice = letters.find((letter, i) => letters.indexOf(letter) !== i);
    if (twice !== undefined) {
      const ran = await nodes.swarm(a, ['task', 'inspect', twice]);
      assert.equal(ran.code, 3, ran.stderr);
      assert.match(ran.stderr, new RegExp(`"${twice}" names \\d+ tasks: ${twice}\\w{24}`));
    }
    await nodes.must(a, ['service', 'scale', '-q', 'keeps=2']);
  });

  test('a write with a version that is old is refused', async () => {
    const client = dial(a.socket);
    try {
      const { service: view } = await client.unary(
        ControlService.getService,
        Ref.create({ ref: 'keeps' }),
      );
      const { id, version, spec } = view!.service!;
      await api.label('keeps', { first: 'x' });
      const labels = { second: 'x' };
      const request = UpdateServiceRequest.create({
        ref: id,
        version,
        spec: ServiceSpec.with(spec!, { labels }),
      });
      await assert.rejects(client.unary(ControlService.updateService, request), {
        code: 'VERSION_CONFLICT',
      });
      const now = await api.service('keeps');
      assert.deepEqual(now.service!.spec!.labels, { first: 'x' });
    } finally {
      client.close();
    }
  });

  test('a published port of another service is refused with its owner', async () => {
    const words = ['service', 'create', '--name', 'second', ...user, '-p', '21150:80'];
    const ran = await nodes.swarm(a, [...words, '--process', 'hello']);
    assert.equal(ran.code, 4, ran.stderr);
    assert.match(ran.stderr, /21150.*keeps/);
    assert.equal((await nodes.rows(a, ['service', 'ls'])).length, 1);
  });

  test('a command without a daemon says where it looked and how to start one', async () => {
    const nowhere = { env: { SWARM_SOCKET: `${nodes.dir}/nowhere.sock` } };
    const ran = await swarm(['node', 'ls'], { ...person.options, ...nowhere });
    assert.equal(ran.code, 5);
    assert.match(ran.stderr, /nowhere\.sock \(SWARM_SOCKET\).*\n.*\n.*swarm start/);
    const via = await swarm(['--via', `${nodes.dir}/m9`, 'node', 'ls']);
    assert.equal(via.code, 3);
  });
}
