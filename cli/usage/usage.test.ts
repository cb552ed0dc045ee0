import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Init, type NodeUsage, UsageItem } from '../../proto/index.ts';
import { UsageRates } from './rates.ts';
import { binaryBytes, decimalBytes, nodeUsageRow, usageRow } from './rows.ts';

const GIB = 2 ** 30;
const look = (atMicros: number, cpuNanos: number, usage: Init<NodeUsage> = {}): UsageItem =>
  UsageItem.create({
    nodeName: 'n1',
    tasks: [{ taskId: 'abcdefghijklmnop', name: 'web.1' }],
    usage: {
      nodeId: 'id1',
      atMicros,
      memoryBytes: 8 * GIB,
      memoryUsedBytes: 2 * GIB,
      processors: 4,
      cpuNanos,
      tasks: [{ taskId: 'abcdefghijklmnop', cpuNanos, memoryBytes: GIB, processes: 3 }],
      ...usage,
    },
  });

test('rates are differences between two looks at the same node', () => {
  const rates = new UsageRates();
  rates.take(look(1_000_000, 0));
  assert.equal(rates.tasks()[0]?.cpuPercent, undefined);
  rates.take(look(3_000_000, 3e9));
  const [task] = rates.tasks();
  const [node] = rates.nodes();
  // 3 s of work in 2 s of time; of the node's four processors that is a share.
  assert.deepEqual([task?.cpuPercent, node?.cpuPercent], [150, 37.5]);
});

test('a task without a limit is measured against the memory of its machine', () => {
  const rates = new UsageRates();
  rates.take(look(1, 0));
  const row = usageRow(rates.tasks()[0]!, false);
  assert.deepEqual(
    [row['ID'], row['CPUPerc'], row['MemUsage'], row['MemPerc'], row['NetIO'], row['PIDs']],
    ['abcdefghijkl', '--', '1GiB / 8GiB', '12.50%', '--', '3'],
  );
  assert.equal(nodeUsageRow(rates.nodes()[0]!)['MemUsage'], '2GiB / 8GiB');
});

test('time that a process took with it when it ended is no negative work', () => {
  const rates = new UsageRates();
  rates.take(look(1_000_000, 5e9));
  rates.take(look(2_000_000, 1e9));
  assert.equal(rates.tasks()[0]?.cpuPercent, 0);
});

test('sizes are as short as with Docker', () => {
  assert.deepEqual([0, 1023, 1536, 12.5 * 2 ** 20].map(binaryBytes), [
    '0B',
    '1023B',
    '1.5KiB',
    '12.5MiB',
  ]);
  assert.deepEqual([999, 1_234, 7_654_321].map(decimalBytes), ['999B', '1.23kB', '7.65MB']);
});
