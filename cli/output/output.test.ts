import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ServiceSpec, TaskState } from '../../proto/index.ts';
import { SwarmError } from '../../shared/errors.ts';
import { exitCodeOf, formatError } from './error.ts';
import { fitTable } from './fit-table.ts';
import { jsonView } from './json-view.ts';
import { column, formatInspect, formatList } from './list.ts';
import { printable } from './printable.ts';
import { relativeTime } from './relative-time.ts';
import { displayWidth, formatTable, truncate } from './table.ts';
import { Template } from './template.ts';
import { rolloutWord, stateWord } from './words.ts';

test('columns are padded with three spaces between and no trailing ones', () => {
  assert.equal(
    formatTable([
      ['ID', 'NAME', ''],
      ['1', 'a longer one', ''],
      ['22', 'b', 'x'],
    ]),
    'ID   NAME\n1    a longer one\n22   b              x\n',
  );
});

test('a table without room loses empty columns, then those of the lowest rank, then ends of cells', () => {
  const rows = [
    ['ID', 'NAME', 'NOTE', 'PORTS', 'STATE'],
    ['1', 'web', '', '*:8080->80/tcp', 'running since yesterday'],
  ];
  const ranks = [undefined, undefined, undefined, 1, undefined];
  const fit = (width: number) => {
    const fitting = fitTable(rows, ranks, width);
    return formatTable(fitting.rows, fitting.gap).split('\n');
  };
  assert.equal(fit(80)[0], 'ID   NAME   NOTE   PORTS            STATE');
  assert.equal(fit(52)[1], '1   web   *:8080->80/tcp  running since yesterday');
  assert.equal(fit(40)[1], '1   web   running since yesterday');
  assert.equal(fit(24)[1], '1   web   running since…');
  assert.equal(fit(5)[1], '1   web   running…', 'what is left is to be read');
});

test('wide and combining characters count as the screen counts them', () => {
  assert.equal(displayWidth('日本'), 4);
  assert.equal(displayWidth('e\u0301'), 1);
  assert.equal(truncate('abcdef', 4), 'abc…');
  assert.equal(truncate('abcd', 4), 'abcd');
});

test('control characters never reach the terminal', () => {
  assert.equal(printable('a\x1b[31mred\x07\n\u009b'), 'a\\x1b[31mred\\x07 \\x9b');
  assert.equal(printable('tab\tstays, é too'), 'tab\tstays, é too');
});

const now = 1_700_000_000_000;
test('times are told as Docker tells them', () => {
  const ago = (seconds: number) => relativeTime(now - seconds * 1_000, now);
  assert.equal(ago(0), 'just now');
  assert.equal(ago(-5), 'just now');
  assert.equal(ago(1), '1 second ago');
  assert.equal(ago(59), '59 seconds ago');
  assert.equal(ago(60), '1 minute ago');
  assert.equal(ago(3_599), '59 minutes ago');
  assert.equal(ago(3_600), '1 hour ago');
  assert.equal(ago(47 * 3_600), '47 hours ago');
  assert.equal(ago(49 * 3_600), '2 days ago');
  assert.equal(ago(15 * 86_400), '2 weeks ago');
});

const row = { ID: 'abc', Name: 'web', Ports: ['80', '90'], Labels: { tier: 'front' }, Up: true };
const render = (template: string, data: unknown = row) => new Template(template).render(data);

test('templates show fields, functions, branches and loops', () => {
  assert.equal(render('{{.Name}}\\t{{.ID}}'), 'web\tabc');
  assert.equal(render('{{.name}}'), 'web');
  assert.equal(render('{{json .Labels}}'), '{"tier":"front"}');
  assert.equal(render('{{join .Ports ","}}'), '80,90');
  assert.equal(render('{{index .Labels "tier"}}'), 'front');
  assert.equal(render('{{.Labels.tier}}'), 'front');
  assert.equal(render('{{upper (index .Labels "tier")}}'), 'FRONT');
  assert.equal(render('{{range .Ports}}<{{.}}>{{end}}'), '<80><90>');
  assert.equal(render('{{if .Up}}up{{else}}down{{end}}'), 'up');
  assert.equal(render('{{if eq .Name "db"}}x{{else}}y{{end}}'), 'y');
  assert.equal(render('{{with .Labels}}{{.tier}} {{$.Name}}{{end}}'), 'front web');
  assert.equal(render('{{len .Ports}}'), '2');
});

test('a template that cannot be read or names a field that is not there is refused', () => {
  const refused = (template: string, part: string) =>
    assert.throws(
      () => render(template),
      (error: unknown) => SwarmError.is(error) && error.message.includes(part),
    );
  refused('{{.Nmae}}', '.Nmae');
  refused('{{if .Up}}', '{{end}}');
  refused('{{.Name', '}}');
  refused('{{}}', 'empty');
  refused('{{nothing .Name}}', 'nothing');
  refused('{{constructor .Name}}', 'constructor');
});

const columns = [column('ID', 'ID'), column('NAME', 'Name')];
const list = (format: string | undefined, quiet = false) =>
  formatList([row], { format, quiet, columns, idField: 'ID' });

test('a list has the five forms of Docker', () => {
  assert.equal(list(undefined), 'ID    NAME\nabc   web\n');
  assert.equal(list('table {{.Name}}\\t{{.ID}}'), 'NAME   ID\nweb    abc\n');
  assert.equal(list('{{.Name}}'), 'web\n');
  assert.equal(JSON.parse(list('json')).Name, 'web');
  assert.equal(list(undefined, true), 'abc\n');
});

test('an inspect is an array of JSON, or a template over each object', () => {
  assert.deepEqual(JSON.parse(formatInspect([{ A: 1 }], undefined)), [{ A: 1 }]);
  assert.equal(formatInspect([{ A: 1 }, { A: 2 }], '{{.A}}'), '1\n2\n');
});

test('JSON has the words of the flags and keeps the keys of users', () => {
  const spec = ServiceSpec.create({
    name: 'web',
    mode: 1,
    labels: { nodeId: 'REPLICATED' },
    task: { process: { command: ['x'], env: ['SERVICE_MODE_X=1'] } },
    update: { order: 1, failureAction: 2 },
    endpoint: { ports: [{ target: 80, mode: 1, protocol: 1 }] },
  });
  const view = jsonView(ServiceSpec.toJson(spec)) as { [key: string]: unknown };
  assert.equal(view['Mode'], 'global');
  assert.deepEqual(view['Labels'], { nodeId: 'REPLICATED' });
  const shown = (template: string) => new Template(template).render(view);
  assert.equal(shown('{{.Update.Order}} {{.Update.FailureAction}}'), 'start-first rollback');
  assert.equal(shown('{{range .Endpoint.Ports}}{{.Protocol}} {{.Mode}}{{end}}'), 'udp host');
  assert.equal(shown('{{index .Task.Process.Env 0}}'), 'SERVICE_MODE_X=1');
  assert.ok(!('Rollback' in view));
});

test('states are words, unknown ones numbers', () => {
  assert.equal(stateWord(TaskState.RUNNING), 'Running');
  assert.equal(stateWord(9999 as TaskState), '9999');
  assert.equal(rolloutWord(4), 'rollback started');
});

test('an error says what happened, what to do and how', () => {
  const error = new SwarmError('NOT_FOUND', 'There is no service web.\nsecond line', {
    advice: 'Look at the list:',
    command: 'swarm service ls',
  });
  assert.equal(
    formatError(error),
    'Error: There is no service web.\nsecond line\nLook at the list:\n  swarm service ls\n',
  );
  assert.equal(exitCodeOf(error), 3);
});

test('an error that is a bug shows where it is', () => {
  const text = formatError(new TypeError('x is undefined'));
  assert.match(text, /INTERNAL/);
  assert.match(text, /output\.test/);
  assert.equal(exitCodeOf(new TypeError('x')), 70);
});
