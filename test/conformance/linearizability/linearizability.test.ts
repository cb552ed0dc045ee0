import assert from 'node:assert/strict';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { tempDir } from '../../support/swarm.ts';
import { readRegisterHistory, writeRegisterHistory } from './histories.ts';
import {
  type KvInput,
  keyValue,
  type RegisterInput,
  type RegisterOutput,
  register,
} from './models.ts';
import { judge, judgeDirectory } from './run.ts';
import { isLinearizable, type Operation } from './wgl.ts';

const vectors = join(process.env['SWARM_VECTORS'] ?? '', 'linearizability');
const isThere = process.env['SWARM_VECTORS'] !== undefined && existsSync(vectors);
const skip = isThere ? false : 'SWARM_VECTORS names no folder with test vectors';

test('every recorded history is judged as its verdict says', { skip }, () => {
  const verdicts = judgeDirectory(vectors);
  assert.deepEqual(
    verdicts.filter((verdict) => verdict.expected !== verdict.found),
    [],
  );
  assert.ok(verdicts.length > 0, 'there were histories');
});

test('what cannot be judged is said of its line, and the other histories are judged', () => {
  const { path, remove } = tempDir();
  try {
    writeFileSync(join(path, 'good.log'), history('0 :invoke :write 1', '0 :ok :write 1'));
    writeFileSync(join(path, 'none.log'), 'hello\n');
    writeFileSync(join(path, 'with blanks.log'), '');
    const lines = ['good.log\ttrue', 'none.log\ttrue', 'absent.log\tfalse', 'good.log\tperhaps'];
    const more = ['good.log', 'with blanks.log\ttrue'];
    writeFileSync(join(path, 'verdicts.tsv'), `${[...lines, ...more].join('\r\n')}\n`);
    const verdicts = judgeDirectory(path);
    assert.deepEqual(
      verdicts.map(({ found }) => found),
      [true, undefined, undefined, undefined, undefined, true],
    );
    const neither = /neither true nor false/;
    const problems = [/^$/, /line 1 is no event/, /ENOENT/, neither, neither, /^$/];
    for (const [at, { problem }] of verdicts.entries()) assert.match(problem, problems[at]!);
  } finally {
    remove();
  }
});

function history(...lines: string[]): string {
  return lines.map((line) => `INFO  jepsen.util - ${line}`).join('\n');
}

test('a read of an older value after a write was answered is not linearizable', () => {
  const stale = ['0 :invoke :write 1', '0 :ok :write 1', '1 :invoke :read nil', '1 :ok :read nil'];
  assert.equal(judge(history(...stale)), false);
});

test('a read that overlaps a write may find either value', () => {
  for (const value of ['nil', '1']) {
    const lines = ['0 :invoke :write 1', '1 :invoke :read nil', `1 :ok :read ${value}`];
    assert.equal(judge(history(...lines, '0 :ok :write 1')), true);
  }
});

test('a write that timed out may take place at any later moment, or never', () => {
  const late = ['0 :invoke :write 1', '0 :info :write :timed-out'];
  const reads = ['1 :invoke :read nil', '1 :ok :read nil', '2 :invoke :read nil'];
  assert.equal(judge(history(...late, ...reads, '2 :ok :read 1')), true);
  assert.equal(judge(history(...late, ...reads, '2 :ok :read nil')), true);
  assert.equal(judge(history(...late, ...reads, '2 :ok :read 2')), false);
});

test('a write or a read that failed did not take place', () => {
  const lines = ['0 :invoke :write 1', '0 :ok :write 1', '1 :invoke :write 2', '1 :fail :write 2'];
  const read = (value: string): string[] => ['2 :invoke :read nil', `2 :ok :read ${value}`];
  assert.equal(judge(history(...lines, ...read('1'))), true);
  assert.equal(judge(history(...lines, ...read('2'))), false);
  const none = ['3 :invoke :read nil', '3 :fail :read :no-leader'];
  assert.equal(judge(history(...lines, ...none, ...read('1'))), true);
});

test('a history that cannot be read says in which line', () => {
  const begun = '0 :invoke :write 1';
  const cases: [string[], RegExp][] = [
    [[begun, '0 :invoke :read nil'], /line 2: process 0 is not done/],
    [[begun, '1 :ok :write 1'], /line 2 ends nothing/],
    [[begun, '0 :ok :read 1'], /line 2 ends a write/],
    [[begun, '0 :perhaps :write 1'], /line 2 is no event/],
    [['0 :invoke :swap [1 2]'], /an operation nobody knows: swap/],
  ];
  for (const [lines, says] of cases) assert.throws(() => judge(history(...lines)), says);
  assert.throws(() => judge('{:process 1}'), /line 1 is no event/);
});

test('a history that takes too long to judge is not called wrong', () => {
  const lines = Array.from({ length: 12 }, (_, at) => `${at} :invoke :write ${at}`);
  const ends = Array.from({ length: 12 }, (_, at) => `${at} :ok :write ${at}`);
  assert.throws(() => judge(history(...lines, ...ends), 5), /given up after 5 positions/);
});

test('a compare-and-set that failed found another value', () => {
  const set = ['0 :invoke :write 1', '0 :ok :write 1', '0 :invoke :cas [1 2]'];
  assert.equal(judge(history(...set, '0 :fail :cas [1 2]')), false);
  assert.equal(judge(history(...set, '0 :ok :cas [1 2]')), true);
});

test('objects are judged apart', () => {
  const get = (process: number, type: string, value: string): string =>
    `{:process ${process}, :type :${type}, :f :get, :key "2", :value ${value}}`;
  const append = (type: string): string =>
    `{:process 0, :type :${type}, :f :append, :key "1", :value "a"}`;
  const empty = [append('invoke'), append('ok'), get(1, 'invoke', 'nil'), get(1, 'ok', '""')];
  assert.equal(judge(empty.join('\n')), true);
  assert.equal(judge([...empty.slice(0, 3), get(1, 'ok', '"a"')].join('\n')), false);
});

test('a history that was recorded here is written in the form that is read', () => {
  const recorded: Operation<RegisterInput, RegisterOutput>[] = [
    { call: 1, end: 4, input: { kind: 'write', value: 'a' }, output: {} },
    { call: 2, end: Infinity, input: { kind: 'cas', from: 'a', to: 'b' }, output: undefined },
    { call: 3, end: 6, input: { kind: 'cas', from: 'x', to: 'c' }, output: { ok: false } },
    { call: 5, end: 7, input: { kind: 'read' }, output: { value: 'b' } },
  ];
  const text = writeRegisterHistory(recorded);
  const again = readRegisterHistory(text).sort((a, b) => a.call - b.call);
  assert.deepEqual(
    again.map(({ input, output }) => ({ input, output })),
    recorded.map(({ input, output }) => ({ input, output })),
  );
  assert.equal(judge(text), true);
  assert.equal(judge(text.replace(':ok :read b', ':ok :read c')), false);
});

test('a search that takes too long is given up', () => {
  const operations: Operation<{ kind: 'write'; value: string }, object>[] = [];
  for (let i = 0; i < 20; i++) {
    operations.push({ call: 0, end: 1, input: { kind: 'write', value: String(i) }, output: {} });
  }
  assert.equal(isLinearizable(register, operations, 5), undefined);
});

test('every history is judged as by trying all orders', () => {
  const value = fc.constantFrom('nil', 'a', 'b');
  const asked = fc.oneof(
    fc.record({ kind: fc.constant('read' as const) }),
    fc.record({ kind: fc.constant('write' as const), value }),
    fc.record({ kind: fc.constant('cas' as const), from: value, to: value }),
  );
  const answer = fc.option(fc.record({ value, ok: fc.boolean() }), { nil: undefined });
  const one = fc.record({ at: fc.nat(12), takes: fc.nat(6), input: asked, output: answer });
  fc.assert(
    fc.property(fc.array(one, { maxLength: 6 }), (raw) => {
      const operations = raw.map(({ at, takes, input, output }) => {
        // Answers come after questions, and between two moments.
        const end = output === undefined ? Infinity : at + takes + 0.5;
        return { call: at, end, input, output };
      });
      assert.equal(isLinearizable(register, operations), hasOrder(operations, register.initial));
    }),
    { numRuns: 2_000 },
  );
});

function hasOrder(
  left: readonly Operation<RegisterInput, RegisterOutput>[],
  state: string,
): boolean {
  const due = Math.min(...left.map(({ end }) => end));
  if (due === Infinity) return true;
  return left.some((operation) => {
    if (operation.call > due) return false;
    const after = register.step(state, operation.input, operation.output);
    const others = left.filter((other) => other !== operation);
    return after !== undefined && hasOrder(others, after.state);
  });
}

test('what is hard to judge does not hide what is wrong', () => {
  const operations: Operation<KvInput, string>[] = [];
  for (let i = 0; i < 40; i++) {
    const input = { kind: 'append' as const, key: 'hard', value: String(i) };
    operations.push({ call: 0, end: 1, input, output: '' });
  }
  operations.push({ call: 2, end: 3, input: { kind: 'get', key: 'hard' }, output: '?' });
  operations.push({ call: 0, end: 1, input: { kind: 'get', key: 'wrong' }, output: 'x' });
  assert.equal(isLinearizable(keyValue, operations), false);
});

test('what was done to the machines is no event of a client', () => {
  const lines = [':nemesis :info :start nil', '0 :invoke :read nil', '0 :ok :read nil'];
  assert.equal(judge(history(...lines)), true);
});
