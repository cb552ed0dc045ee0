import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { NodeRecord } from '../node-index.ts';
import { bestOf, LoadHeap, NodeHeap, scoreOf } from './choose.ts';

function records(loads: readonly number[]): NodeRecord[] {
  return loads.map((tasks, at) => ({
    id: `n${at}`,
    at,
    node: undefined,
    status: undefined,
    blocked: '',
    tasks,
    nanoCpus: 0,
    memoryBytes: 0,
    generic: new Map(),
    hostPorts: new Map(),
  }));
}
const loads = fc.array(fc.nat(20), { minLength: 1, maxLength: 50 });

test('failures weigh more than own tasks, and those more than all tasks', () => {
  assert.ok(scoreOf(0, 0, true) > scoreOf(1e6, 1e5, false));
  assert.ok(scoreOf(0, 1, false) > scoreOf(1e6, 0, false));
});

test('a heap gives tasks to nodes in turn, the emptiest first', () => {
  fc.assert(
    fc.property(loads, (tasks) => {
      const nodes = records(tasks);
      const heap = new NodeHeap(nodes, (node) => scoreOf(node.tasks, 0, false));
      const order = nodes.map(() => heap.take(() => true)!);
      assert.equal(new Set(order).size, nodes.length);
      const wanted = [...nodes].sort((a, b) => a.tasks - b.tasks || a.at - b.at);
      assert.deepEqual(
        order.map((node) => node.id),
        wanted.map((node) => node.id),
      );
    }),
  );
});

test('a node that is full leaves the heap', () => {
  const heap = new NodeHeap(records([0, 1, 2]), (node) => node.tasks);
  assert.equal(heap.take((node) => node.id !== 'n0')?.id, 'n1');
  assert.equal(heap.take((node) => node.id === 'n2')?.id, 'n2');
  assert.equal(
    heap.take(() => false),
    undefined,
  );
});

test('the shared heap finds the least loaded node although loads grow behind its back', () => {
  fc.assert(
    fc.property(loads, fc.array(fc.nat(49), { maxLength: 30 }), (tasks, busy) => {
      const nodes = records(tasks);
      const heap = new LoadHeap(nodes);
      for (const at of busy) {
        nodes[at % nodes.length]!.tasks++;
        const best = bestOf(
          nodes,
          (node) => node.tasks,
          () => true,
        );
        assert.equal(heap.least()?.id, best?.id);
      }
    }),
  );
});
