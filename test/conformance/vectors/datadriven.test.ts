import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { confChangeRunner } from './confchange.ts';
import { type Directive, parseLine, parseScript } from './datadriven.ts';
import { interactionRunner } from './interaction.ts';
import { normalisationReasons, normalise } from './normalise.ts';
import { quote } from './output.ts';
import { quorumRunner } from './quorum.ts';
import { runScript, runScripts } from './run.ts';

test('a command line has words, values and lists of values', () => {
  assert.deepEqual(parseLine('add 3 voters=(1, 2) index=10 none=()'), {
    command: 'add',
    args: [
      { key: '3', values: [] },
      { key: 'voters', values: ['1', '2'] },
      { key: 'index', values: ['10'] },
      { key: 'none', values: [] },
    ],
  });
});

test('values may have parentheses and blanks of their own', () => {
  assert.deepEqual(parseLine('cmd a=(x (1, 2), y)  b=\tc').args[0], {
    key: 'a',
    values: ['x (1, 2)', 'y'],
  });
  assert.throws(() => parseLine('cmd a=(1, 2'), /cannot parse/);
});

test('the name of a part of a script is neither input nor output', () => {
  const script = parseScript('subtest one\n\ncmd\n----\nok\n\nsubtest end\n');
  assert.deepEqual(
    script.map((d) => [d.command, d.expected]),
    [['cmd', 'ok\n']],
  );
});

test('what a script gives wrongly is answered as Go answers it', () => {
  const cases: [(d: Directive) => string, string, string][] = [
    [
      quorumRunner(),
      'vote cfg=(2,1) votes=(y)\n----\n',
      'error: mismatched input (explicit or _) for voters map[1:{} 2:{}]: [2]',
    ],
    [confChangeRunner(), 'leave-joint\nv1\n----\n', 'this command takes no input'],
    [confChangeRunner(), 'simple\nv\n----\n', 'unknown token v'],
    [confChangeRunner(), 'simple\nvx\n----\n', 'strconv.ParseUint: parsing "x": invalid syntax'],
    [
      interactionRunner(),
      'propose-conf-change 1 transition=some\nv1\n----\n',
      'unknown transition some',
    ],
    [interactionRunner(), 'propose-conf-change 1 v2=true\nv1\n----\n', 'unknown command v2'],
  ];
  for (const [handle, script, expected] of cases) {
    assert.equal(handle(parseScript(script)[0]!), expected);
  }
});

test('a script is commands with input and output, comments apart', () => {
  const text = '# why\n\nfirst a \\\n  b\nin 1\nin 2\n----\nout 1\nout 2\n\n# next\nsecond\n----\n';
  const script = parseScript(text);
  assert.deepEqual(
    script.map((d) => [d.line, d.command, d.args.map((a) => a.key), d.input, d.expected]),
    [
      [3, 'first', ['a', 'b'], 'in 1\nin 2', 'out 1\nout 2\n'],
      [12, 'second', [], '', ''],
    ],
  );
});

test('output may have empty lines between doubled separators', () => {
  const [d] = parseScript('cmd\n----\n----\na\n\nb\n----\n----\n');
  assert.equal(d?.expected, 'a\n\nb\n');
});

test('a command without its separator is an error', () => {
  assert.throws(() => parseScript('cmd\n'), /line 1: no ----/);
});

test('bytes are quoted as Go quotes them', () => {
  assert.equal(quote(new TextEncoder().encode('a"\\\n\u0001é')), '"a\\"\\\\\\n\\x01é"');
});

test('only lines that depend on Go struct printing are normalised', () => {
  const canonical =
    'INFO 1 ignoring conf change transition:ConfChangeTransitionAuto ' +
    'changes:{type:ConfChangeAddNode node_id:3} at config voters=(1): x';
  const spaced = canonical.replace('Auto changes', 'Auto  changes');
  const old = canonical.replace(
    /transition:.* at config/,
    '{ConfChangeTransitionAuto [{ConfChangeAddNode 3}] []} at config',
  );
  assert.equal(normalise(spaced), canonical);
  assert.equal(normalise(old), canonical);
  assert.equal(normalise('INFO  two  blanks'), 'INFO  two  blanks');
  assert.equal(normalisationReasons().length, 1);
});

test('a script that differs is shown with its first difference', () => {
  const directory = mkdtempSync(join(tmpdir(), 'swarm-vectors-'));
  try {
    const path = join(directory, 'a.txt');
    writeFileSync(path, 'add-nodes 1 voters=(1) index=2\n----\nwrong\n');
    assert.match(runScript(path), /^line 1: add-nodes, output line 1\n.*expected: wrong\n.*INFO 1/);
    writeFileSync(
      join(directory, 'b.txt'),
      'log-level none\n----\nok\n\nnonsense\n----\nunknown command\n',
    );
    writeFileSync(join(directory, 'c.txt'), 'unfinished\n');
    const results = runScripts(directory).map((r) => [r.name, r.difference === '']);
    assert.deepEqual(results, [
      ['a.txt', false],
      ['b.txt', true],
      ['c.txt', false],
    ]);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test('what is no script is said so, and the others are run', () => {
  const directory = mkdtempSync(join(tmpdir(), 'swarm-vectors-'));
  try {
    mkdirSync(join(directory, 'inner.txt'));
    symlinkSync('..', join(directory, 'inner.txt', 'up'));
    symlinkSync('nowhere', join(directory, 'gone.txt'));
    writeFileSync(join(directory, 'empty.txt'), '# only a comment\n');
    writeFileSync(join(directory, 'inner.txt', 'a.txt'), 'log-level none\n----\nok\n');
    writeFileSync(join(directory, 'notes.md'), 'no script');
    const said = runScripts(directory).map(({ name, difference }) => `${name}: ${difference}`);
    assert.match(said[1]!, /^gone.txt: ENOENT/);
    assert.deepEqual(said.toSpliced(1, 1), ['empty.txt: no command is in it', 'inner.txt/a.txt: ']);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
