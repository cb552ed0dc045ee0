import assert from 'node:assert/strict';
import { availableParallelism } from 'node:os';
import { after, test } from 'node:test';
import { RARE, TIMES_MIN } from './coverage.ts';
import { Crew, EVENTS_DEFAULT, type Order } from './crew.ts';
import { describeFailure, Total } from './report.ts';
import { shrink } from './shrink.ts';

/** The same seeds on every machine. `npm run sim` runs any. */
const SEEDS = 300;
const SHRINK_RUNS = 60;

const crew = new Crew(Math.min(8, availableParallelism()));
after(() => crew.close());

test('a cluster keeps its promises under faults, and heals', async (t) => {
  const total = new Total();
  let seed = 0;
  const next = (): Order | undefined =>
    seed < SEEDS && total.failures.length === 0
      ? { seed: ++seed, events: EVENTS_DEFAULT }
      : undefined;
  await crew.runAll(next, (report) => total.add(report));
  t.diagnostic(total.summary());
  const [failure] = total.failures;
  if (failure) {
    const { report } = await shrink(failure, (order) => crew.run(order), SHRINK_RUNS);
    assert.fail([...describeFailure(failure), 'at least:', ...describeFailure(report)].join('\n'));
  }
  for (const line of total.lines(RARE)) t.diagnostic(line);
  const rare = RARE.filter((name) => total.of(name) < TIMES_MIN);
  assert.deepEqual(rare, [], `seen less than ${TIMES_MIN} times in ${total.seeds} seeds`);
});

test('the same seed is the same run, in whatever process', async () => {
  const order = { seed: 4, events: 3_000 };
  const other = new Crew(1);
  const reports = await Promise.all([crew.run(order), other.run(order)]);
  other.close();
  const [one, two] = reports.map(({ cpuMs: _, ...same }) => same);
  assert.ok(one!.ran > 3_000);
  assert.deepEqual(one, two);
});
