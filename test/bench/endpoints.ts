import { AssignmentRows } from '../../manager/dispatcher/assignment-rows.ts';
import { type AgentStream, Session } from '../../manager/dispatcher/session.ts';
import { AddressIndex } from '../../manager/loop/addressing/address-index.ts';
import { Position, Role, type Task, TaskState } from '../../proto/index.ts';
import { atOnce } from '../../shared/slices.ts';
import { defaultSpec, withWords } from '../scenarios/spec-words.ts';
import { World } from '../scenarios/world.ts';
import { line, since, spread } from './report.ts';

const CHANGES = 200;
const NODES = 20;

/**
 * What the leader does for networks, without sockets: S services of R tasks on one network, given and
 * told to 20 nodes; then one endpoint after the other changes.
 */
export async function endpoints(args: readonly string[]): Promise<void> {
  const [services = 1_000, replicas = 10] = args.map(Number);
  const world = new World();
  const rows = new AssignmentRows();
  atOnce(rows.rebuild(world.view));
  world.store.onApplied((entry) => rows.observe(world.view, entry));
  for (let n = 1; n <= NODES; n++) await addNode(world, n);
  await world.createNetwork({ name: 'front' });
  const startMs = performance.now();
  for (let n = 1; n <= services; n++)
    await world.createService(
      withWords(defaultSpec(`s${n}`), ['network=front', `replicas=${replicas}`]),
    );
  line(`give ${services * replicas} addresses, with their tasks`, since(startMs), 'ms');
  await world.agents();
  const sessions = connect(world, rows);
  const tasks = [...world.view.table('task').all()];
  await change(world, rows, sessions, tasks);
  rebuild(world);
  world.stop();
}

async function addNode(world: World, n: number): Promise<void> {
  const resources = { nanoCpus: 64e9, memoryBytes: 2 ** 40 };
  await world.addNode(`n${n}`, {}, resources, ['process'], {
    features: { network: 'overlay' },
    dataAddress: `192.168.0.${n}`,
  });
}

interface Counted {
  readonly session: Session;
  bytes: number;
}

function connect(world: World, rows: AssignmentRows): Counted[] {
  const startMs = performance.now();
  rows.take(world.view);
  const to = Position.create({ epoch: 1, term: 1, index: world.view.index });
  const sessions: Counted[] = [];
  for (let n = 1; n <= NODES; n++) {
    const counted = { bytes: 0 } as { session: Session; bytes: number };
    const stream = {
      unsentBytes: 0,
      sendEncoded: (bytes: Uint8Array) => {
        counted.bytes += bytes.length;
      },
    } as unknown as AgentStream;
    counted.session = new Session(`n${n}`, 1, Role.WORKER, stream);
    counted.session.sendAll(rows, world.view, to);
    sessions.push(counted);
  }
  line(`complete sets of ${NODES} nodes`, since(startMs), 'ms');
  line('one complete set', sessions[0]!.bytes / 1_000, 'kB');
  return sessions;
}

async function change(
  world: World,
  rows: AssignmentRows,
  sessions: readonly Counted[],
  tasks: readonly Task[],
): Promise<void> {
  const times: number[] = [];
  for (const counted of sessions) counted.bytes = 0;
  for (let n = 0; n < CHANGES; n++) {
    const task = tasks[(n * 7_919) % tasks.length]!;
    await world.report(task, { state: TaskState.RUNNING, ready: n % 2 === 1 });
    const startMs = performance.now();
    const changes = rows.take(world.view);
    const to = Position.create({ epoch: 1, term: 1, index: world.view.index });
    for (const { session } of sessions) session.update(rows, world.view, to, changes);
    times.push(since(startMs));
  }
  spread(`one endpoint change for ${NODES} nodes`, times, 'ms');
  line('bytes of one change for a node', sessions[0]!.bytes / CHANGES, 'B');
}

function rebuild(world: World): void {
  const startMs = performance.now();
  AddressIndex.of(world.view);
  line('index of addresses from the rows', since(startMs), 'ms');
}
