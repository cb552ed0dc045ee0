import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  type Changes,
  diff,
  differing,
  flat,
  goneEndpoints,
  type Items,
  leavingBackends,
} from './diff.ts';
import { type Item, route, setting, vxlan } from './items.ts';
import { type PlanInput, Planner } from './plan.ts';
import { at, endpoint, INGRESS, input, network, peer, published, service } from './rows.fixture.ts';

describe('what differs', () => {
  it('is nothing between a plan and itself', () => {
    fc.assert(
      fc.property(inputs, (given) => {
        const items = flat(new Planner(true).plan(given).parts);
        assert.deepEqual(diff(items, items), { clear: [], make: [], take: [] });
      }),
      { numRuns: 50 },
    );
  });
  it('brings a kernel from any plan to any other, by parts as well as by reading it', () => {
    fc.assert(
      fc.property(fc.array(inputs, { minLength: 2, maxLength: 5 }), (all) => {
        const planner = new Planner(true);
        let parts: ReadonlyMap<string, readonly Item[]> = new Map();
        const kernel = new Map<string, Item>();
        for (const given of all) {
          const next = planner.plan(given).parts;
          const { have, want } = differing(parts, next);
          carryOut(kernel, diff(have, want));
          assert.deepEqual(texts(kernel), texts(flat(new Planner(true).plan(given).parts), kernel));
          parts = next;
        }
        const end = flat(parts);
        carryOut(kernel, diff(kernel, end));
        assert.deepEqual(texts(kernel), texts(end));
      }),
      { numRuns: 100 },
    );
  });
  it('is repaired from whatever somebody else has left of it', () => {
    fc.assert(
      fc.property(inputs, fc.infiniteStream(fc.boolean()), (given, kept) => {
        const want = flat(new Planner(true).plan(given).parts);
        const kernel = new Map([...want].filter(() => kept.next().value));
        // What hangs on a link is never there without it.
        for (const [id, { device }] of kernel)
          if (device !== undefined && !kernel.has(`link ${device}`)) kernel.delete(id);
        carryOut(kernel, diff(kernel, want));
        assert.deepEqual(texts(kernel), texts(want));
      }),
      { numRuns: 50 },
    );
  });
  it('is a whole device with what hangs on it, where its kind changes', () => {
    const link = { device: 'swx1', router: 'r', vni: 1, port: 4_799, local: '10.0.0.1', mac: 'a' };
    const way = route({ to: '10.1.0.1', table: 254, via: '198.19.0.2', device: 'swx1' });
    const before = items([vxlan(link), setting('swx1', 1_450, 1), way]);
    const after = items([vxlan({ ...link, port: 4_800 }), setting('swx1', 1_450, 1), way]);
    const { clear, make, take } = diff(before, after);
    assert.deepEqual(ids(clear), ['link swx1']);
    assert.deepEqual(ids(make), ['link swx1', 'setting swx1', 'route 254 10.1.0.1']);
    assert.deepEqual(take, []);
  });
  it('names backends that get nothing new, not those that only moved', () => {
    const planner = new Planner(true);
    const rows = { networks: [INGRESS, network(1)] };
    const three = input({ ...rows, networkServices: [service(1, [1, 2, 3])] });
    const before = planner.plan(three).parts;
    const after = planner.plan({
      ...three,
      overlay: { ...three.overlay!, networkServices: [service(1, [2, 3])] },
    }).parts;
    const { have, want } = differing(before, after);
    assert.deepEqual(leavingBackends(have, want), ['10.0.1.11']);
  });
  it('does not look into parts whose rows are the same', () => {
    const planner = new Planner(true);
    const rows = { networks: [INGRESS, network(1)], networkServices: [service(1, [1, 2, 3])] };
    const given = input(rows);
    const before = planner.plan(given).parts;
    const after = planner.plan({ ...given, endpoints: [endpoint(9)] }).parts;
    const { have, want } = differing(before, after);
    assert.equal(have.size, 0);
    assert.ok([...want.keys()].every((id) => id.includes('swe9') || id.includes('198.18.')));
  });
});

const PEERS = [peer(1), peer(2), peer(3), peer(2, { dataAddress: '192.168.99.99' })];
const NETWORKS = [network(1), network(2), network(1, { mtu: 1_400 }), network(2, { vni: 7 })];
const tasks = fc.uniqueArray(fc.integer({ min: 1, max: 6 }), { maxLength: 5 });

/** Rows as a manager could send them: no address is anybody's twice. */
const inputs: fc.Arbitrary<PlanInput> = fc
  .record({
    peers: fc.subarray([1, 2, 3]),
    nets: fc.subarray([0, 1, 2, 3]),
    first: tasks,
    second: tasks,
    affinity: fc.boolean(),
    ports: tasks,
    here: fc.subarray([1, 4]),
  })
  .map(({ peers, nets, first, second, affinity, ports, here }) => {
    const networks = unique(nets.map((each) => NETWORKS[each]!));
    const given = input(
      {
        peers: [PEERS[0]!, ...unique(peers.map((each) => PEERS[each]!).filter((p) => p.index > 1))],
        networks: [INGRESS, ...networks],
        networkServices: [
          service(1, first, { clientAffinity: affinity }),
          service(2, second, { address6: 'fd00:0:0:2::2' }),
        ],
        services: [published(1, ports)],
      },
      here.map((task) => endpoint(task, { attachments: [at(1, task), at(2, task)] })),
    );
    return given;
  });

function unique<T extends { readonly index: number }>(rows: readonly T[]): readonly T[] {
  return [...new Map(rows.map((row) => [row.index, row])).values()];
}

/** A kernel that refuses what a real one refuses. */
function carryOut(kernel: Map<string, Item>, { clear, make, take }: Changes): void {
  const remove = (item: Item): void => {
    assert.ok(kernel.delete(item.id), `${item.id} is there when it is taken away`);
    for (const [id, { device }] of kernel)
      if (item.link !== undefined && device === item.link) kernel.delete(id);
  };
  for (const item of clear) remove(item);
  for (const item of make) {
    assert.ok(item.replaces || !kernel.has(item.id), `${item.id} is not there when it is made`);
    kernel.set(item.id, item);
  }
  for (const item of take) remove(item);
}

/** Chains stay when nobody uses them any more: those that `kernel` has as well are left out. */
function texts(all: Items, kernel: Items = new Map()): readonly string[] {
  const lines = [...all.values()].map(({ id, text }) => `${id}: ${text}`);
  const chains = [...kernel.keys()].filter((id) => id.startsWith('chain ')).map((id) => `${id}: `);
  return [...new Set([...lines, ...chains])].sort();
}

function items(list: readonly Item[]): Items {
  return new Map(list.map((item) => [item.id, item]));
}
function ids(list: readonly Item[]): readonly string[] {
  return list.map(({ id }) => id);
}

it('an endpoint that is still wanted elsewhere is not gone', () => {
  const way = route({ to: '10.0.1.11', table: 254, via: '198.19.0.2', device: 'swx1' });
  const ingress = route({ to: '10.0.1.11', table: 99_999, via: '198.19.0.2', device: 'swing' });
  const have = new Map([[ingress.id, ingress]]);
  assert.deepEqual(goneEndpoints(have, new Map(), new Map([['service web', [way]]])), []);
  assert.deepEqual(goneEndpoints(have, new Map(), new Map()), ['10.0.1.11']);
});
