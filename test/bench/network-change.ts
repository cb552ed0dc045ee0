import { Assignments, Position } from '../../proto/index.ts';
import { SystemClock } from '../../shared/clock.ts';
import { silentLog } from '../../shared/log.ts';
import { LocalStore } from '../../worker/agent/local-store.ts';
import { OrderBook } from '../../worker/agent/order-book.ts';
import { SystemIo } from '../../worker/system-io.ts';
import { tempDir } from '../support/swarm.ts';
import { BenchNode, cpuMs, programsCpuMs } from './network-world.ts';
import { line, since, spread } from './report.ts';

const SERVICES = 1_000;
const ENDPOINTS = 10;
const CHANGES = 200;

/**
 * One endpoint that stops or begins to take load, on a node that knows 10,000: from the bytes of the
 * leader's message to names and virtual addresses, with all processes that have a part in it.
 */
export async function networkChange(): Promise<void> {
  const directory = tempDir();
  const node = await BenchNode.make(SERVICES, ENDPOINTS);
  try {
    const io = new SystemIo(new SystemClock());
    const store = new LocalStore(io, directory.path, silentLog);
    const book = new OrderBook({ store, clusterId: 'c', bootId: 'b' });
    const { networks, peers, networkServices = [] } = node.routers.rows;
    book.take(Assignments.create({ complete: true, to: at(1), networks, peers, networkServices }));
    await node.resolvers.apply(book.network, [1]);
    const netd = await node.resolvers.netd(1);
    const walls: number[] = [];
    const began = { own: cpuMs('self'), programs: programsCpuMs(netd), netd: cpuMs(netd) };
    for (let n = 0; n < CHANGES; n++) {
      // Each service twice: its endpoint stops to take load, and begins again.
      const number = ((n >> 1) * 7_919) % SERVICES;
      const row = node.service(number, ENDPOINTS, n % 2 === 0 ? 3 : -1);
      const bytes = Assignments.encode(
        Assignments.create({ from: at(n + 1), to: at(n + 2), networkServices: [row] }),
      );
      const startMs = performance.now();
      book.take(Assignments.decode(bytes));
      await node.resolvers.apply(book.network, [1]);
      walls.push(since(startMs));
    }
    const own = cpuMs('self') - began.own;
    const programs = programsCpuMs(netd) - began.programs;
    const names = cpuMs(netd) - began.netd;
    const startMs = performance.now();
    book.saveNetwork();
    const savedMs = since(startMs);
    spread('change: message to names and addresses', walls, 'ms');
    line('change: CPU of the daemon', own / CHANGES, 'ms');
    line('change: CPU of nft, ip and conntrack', programs / CHANGES, 'ms');
    line('change: CPU of netd', names / CHANGES, 'ms');
    line('change: CPU in all', (own + programs + names) / CHANGES, 'ms');
    line('change: all rows to the disk, once a second', savedMs, 'ms');
  } finally {
    await node.end();
    directory.remove();
  }
}

function at(index: number): Position {
  return Position.create({ epoch: 1, term: 1, index });
}
