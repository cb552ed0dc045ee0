import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { AssignmentRows } from '../../manager/dispatcher/assignment-rows.ts';
import { type AgentStream, Session } from '../../manager/dispatcher/session.ts';
import {
  type Assignments,
  Liveness,
  ManagerMessage,
  Position,
  Role,
  TaskState,
} from '../../proto/index.ts';
import { atOnce } from '../../shared/slices.ts';
import { defaultSpec, withWords } from './spec-words.ts';
import { World } from './world.ts';

/** What an agent makes of the messages: what comes is put, then what goes is taken away. */
class Agent {
  readonly nodeId: string;
  readonly session: Session;
  rows = new Map<string, unknown>();
  digest: Uint8Array = new Uint8Array();
  messages: Assignments[] = [];

  constructor(nodeId: string) {
    this.nodeId = nodeId;
    const stream = {
      unsentBytes: 0,
      sendEncoded: (bytes: Uint8Array) => this.#take(ManagerMessage.decode(bytes).assignments!),
    } as unknown as AgentStream;
    this.session = new Session(nodeId, 1, Role.WORKER, stream);
  }
  kinds(kind: string): string[] {
    const keys = [...this.rows.keys()].filter((key) => key.startsWith(`${kind} `));
    return keys.map((key) => key.slice(kind.length + 1)).sort();
  }
  #take(message: Assignments): void {
    this.messages.push(message);
    this.digest = message.digest;
    if (message.complete) this.rows = new Map();
    for (const row of message.tasks) this.rows.set(`task ${row.id}`, row);
    for (const row of message.services) this.rows.set(`service ${row.serviceId}`, row);
    for (const row of message.peers) this.rows.set(`peer ${row.nodeId}`, row);
    for (const row of message.networks) this.rows.set(`network ${row.id}`, row);
    for (const row of message.networkServices) this.rows.set(`endpoints ${row.id}`, row);
    for (const id of message.removedTasks) this.rows.delete(`task ${id}`);
    for (const id of message.removedServices) this.rows.delete(`service ${id}`);
    for (const id of message.removedPeers) this.rows.delete(`peer ${id}`);
    for (const id of message.removedNetworks) this.rows.delete(`network ${id}`);
    for (const id of message.removedNetworkServices) this.rows.delete(`endpoints ${id}`);
  }
}

/** The leader's side without sockets: the real loop, the real rows, a session a node. */
class Cluster {
  readonly world = new World();
  readonly rows = new AssignmentRows();
  readonly agents = new Map<string, Agent>();
  #index = 0;

  constructor() {
    atOnce(this.rows.rebuild(this.world.view));
    this.world.store.onApplied((entry) => this.rows.observe(this.world.view, entry));
  }
  async addNode(id: string, overlay = true): Promise<void> {
    const resources = { nanoCpus: 4e9, memoryBytes: 2 ** 33 };
    const network = overlay
      ? { features: { network: 'overlay' }, dataAddress: `192.168.0.${id.slice(1)}` }
      : {};
    await this.world.addNode(id, {}, resources, ['process', 'containerd'], network);
    const agent = new Agent(id);
    this.flush();
    this.agents.set(id, agent);
    agent.session.sendAll(this.rows, this.world.view, this.#position());
  }
  flush(): void {
    const changes = this.rows.take(this.world.view);
    const to = this.#position();
    for (const { session } of this.agents.values())
      session.update(this.rows, this.world.view, to, changes);
  }
  agent(id: string): Agent {
    return this.agents.get(id)!;
  }
  /** What a session that begins now would be sent. */
  fresh(id: string): Agent {
    const rows = new AssignmentRows();
    atOnce(rows.rebuild(this.world.view));
    const agent = new Agent(id);
    agent.session.sendAll(rows, this.world.view, this.#position());
    return agent;
  }
  #position(): Position {
    return Position.create({ epoch: 1, term: 1, index: ++this.#index });
  }
}

const spec = (name: string, ...words: string[]) => withWords(defaultSpec(name), words);

async function aCluster(): Promise<Cluster> {
  const cluster = new Cluster();
  for (const id of ['n1', 'n2', 'n3']) await cluster.addNode(id);
  return cluster;
}

test('a node gets all peers and the ingress, and of other networks those that its tasks are on', async () => {
  const cluster = await aCluster();
  await cluster.addNode('n4', false);
  const front = await cluster.world.createNetwork({ name: 'front' });
  await cluster.world.createService(
    spec('web', 'network=front', 'constraint=node.hostname==n2', 'port=8080:80'),
  );
  await cluster.world.agents();
  cluster.flush();
  const web = cluster.world.service('web').id;
  for (const id of ['n1', 'n2', 'n3', 'n4'])
    assert.deepEqual(cluster.agent(id).kinds('peer'), ['n1', 'n2', 'n3']);
  assert.deepEqual(cluster.agent('n1').kinds('network'), ['ingress']);
  assert.deepEqual(cluster.agent('n2').kinds('network').sort(), [front, 'ingress'].sort());
  assert.deepEqual(cluster.agent('n2').kinds('endpoints'), [`${web}/${front}`]);
  assert.deepEqual(cluster.agent('n3').kinds('endpoints'), []);
  const row = cluster.agent('n2').rows.get(`endpoints ${web}/${front}`) as {
    address: string;
    endpoints: { address: string; ready: boolean }[];
  };
  assert.equal(row.address, '10.0.1.2');
  assert.deepEqual(
    row.endpoints.map(({ address, ready }) => [address, ready]),
    [['10.0.1.3', true]],
  );
  const balanced = cluster.agent('n3').rows.get(`service ${web}`) as {
    backends: { address: string }[];
  };
  assert.deepEqual(
    balanced.backends.map(({ address }) => address),
    ['10.0.1.3'],
  );
  await cluster.world.removeService('web');
  await cluster.world.advance(6_000, async () => void (await cluster.world.agents()));
  cluster.flush();
  assert.deepEqual(cluster.agent('n2').kinds('network'), ['ingress']);
  assert.deepEqual(cluster.agent('n2').kinds('endpoints'), []);
  cluster.world.stop();
});

test('a change on one network is told to the nodes on it alone', async () => {
  const cluster = await aCluster();
  await cluster.world.createNetwork({ name: 'front' });
  await cluster.world.createService(spec('web', 'network=front', 'replicas=2'));
  await cluster.world.agents();
  cluster.flush();
  const outside = ['n1', 'n2', 'n3'].find((id) => cluster.agent(id).kinds('network').length === 1)!;
  const before = cluster.agent(outside).messages.length;
  const [task] = cluster.world.view.table('task').all();
  await cluster.world.report(task!, { state: TaskState.RUNNING, ready: false });
  cluster.flush();
  assert.equal(cluster.agent(outside).messages.length, before);
  assert.equal(cluster.agent(task!.nodeId).messages.at(-1)!.networkServices.length, 1);
  cluster.world.stop();
});

test('an endpoint is not ready while its task drains, and not while its node is silent', async () => {
  const cluster = await aCluster();
  const front = await cluster.world.createNetwork({ name: 'front' });
  await cluster.world.createService(spec('web', 'network=front', 'replicas=3'));
  await cluster.world.agents();
  const states = () => {
    cluster.flush();
    const key = `endpoints ${cluster.world.service('web').id}/${front}`;
    const row = cluster.agent('n1').rows.get(key) as {
      endpoints: { nodeId: string; ready: boolean; draining: boolean }[];
    };
    return row.endpoints.map((one) => {
      const state = one.draining ? 'draining' : one.ready ? 'ready' : '-';
      return `${one.nodeId} ${state}`;
    });
  };
  await cluster.world.liveness(['n2'], Liveness.SUSPECT);
  assert.deepEqual(states().sort(), ['n1 ready', 'n2 -', 'n3 ready']);
  await cluster.world.liveness(['n1', 'n3'], Liveness.SUSPECT);
  assert.deepEqual(states().sort(), ['n1 ready', 'n2 ready', 'n3 ready']);
  await cluster.world.liveness(['n1', 'n2', 'n3'], Liveness.READY);
  await cluster.world.updateService('web', spec('web', 'network=front', 'replicas=2'));
  assert.deepEqual(
    states()
      .sort()
      .filter((text) => text.endsWith('draining')).length,
    1,
  );
  cluster.world.stop();
});

const NODES = ['n1', 'n2', 'n3'];
const step = fc.oneof(
  fc.record({
    do: fc.constant('wish' as const),
    name: fc.constantFrom('a', 'b'),
    words: fc.array(
      fc.constantFrom(
        'replicas=0',
        'replicas=2',
        'replicas=5',
        'network=x',
        'network=x+y',
        'network=',
        'port=:80',
        'force=2',
        'force=3',
        'endpoint-mode=dnsrr',
      ),
      { maxLength: 3 },
    ),
  }),
  fc.record({ do: fc.constant('remove' as const), name: fc.constantFrom('a', 'b') }),
  fc.record({
    do: fc.constant('liveness' as const),
    id: fc.constantFrom(...NODES),
    to: fc.constantFrom(Liveness.READY, Liveness.SUSPECT, Liveness.DOWN),
  }),
  fc.record({ do: fc.constant('mtu' as const), mtu: fc.constantFrom(1_400, 1_500) }),
  fc.record({ do: fc.constant('agents' as const) }),
  fc.record({ do: fc.constant('advance' as const), ms: fc.constantFrom(500, 6_000, 70_000) }),
  fc.record({ do: fc.constant('flush' as const) }),
  fc.record({ do: fc.constant('networks' as const), there: fc.boolean() }),
);

test('increments lead to what a complete set says, and to its digest', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 3, maxLength: 30, size: 'max' }),
      async (steps) => {
        const cluster = await aCluster();
        const { world } = cluster;
        const specs = new Map<string, ReturnType<typeof defaultSpec>>();
        for (const one of steps) {
          if (one.do === 'wish') {
            const [row] = world.view.table('service').by('name', one.name);
            if (row?.removing) continue;
            const base = specs.get(one.name) ?? spec(one.name, 'image=web', 'network=x');
            const next = withWords(
              row === undefined ? spec(one.name, 'image=web') : base,
              one.words,
            );
            specs.set(one.name, next);
            if (row === undefined) await world.createService(next);
            else await world.updateService(one.name, next);
          } else if (one.do === 'remove') {
            const [row] = world.view.table('service').by('name', one.name);
            if (row !== undefined && !row.removing) await world.removeService(one.name);
          } else if (one.do === 'liveness') await world.liveness([one.id], one.to);
          else if (one.do === 'mtu') await world.describe('n1', { mtu: one.mtu });
          else if (one.do === 'agents') await world.agents(() => true, 3);
          else if (one.do === 'advance') await world.advance(one.ms);
          else if (one.do === 'flush') cluster.flush();
          else await toggleNetworks(world, one.there);
        }
        cluster.flush();
        for (const id of NODES) {
          const [agent, fresh] = [cluster.agent(id), cluster.fresh(id)];
          assert.deepEqual(sorted(agent.rows), sorted(fresh.rows));
          assert.deepEqual(agent.digest, fresh.digest);
        }
        world.stop();
      },
    ),
    { numRuns: Number(process.env['RUNS'] ?? 60), includeErrorInReport: true },
  );
});

function sorted(rows: ReadonlyMap<string, unknown>): [string, unknown][] {
  return [...rows].sort(([a], [b]) => (a < b ? -1 : 1));
}

async function toggleNetworks(world: World, there: boolean): Promise<void> {
  for (const name of ['x', 'y']) {
    const [row] = world.view.table('network').by('name', name);
    if (there && row === undefined) await world.createNetwork({ name });
    if (!there && row !== undefined && !row.removing) await world.removeNetwork(name);
  }
}
