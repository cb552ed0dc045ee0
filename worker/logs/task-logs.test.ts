import assert from 'node:assert/strict';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { type Init, LogRequest } from '../../proto/index.ts';
import { ManualClock, SystemClock } from '../../shared/clock.ts';
import { LIMITS } from '../../shared/limits.ts';
import { silentLog } from '../../shared/log.ts';
import { SystemIo } from '../system-io.ts';
import { TaskLogs } from './task-logs.ts';

const ID = 'task1';
const never = new AbortController().signal;
let stateDir: string;
let clock: ManualClock;
let logs: TaskLogs;

beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), 'swarm-logs-'));
  mkdirSync(join(stateDir, 'logs', ID), { recursive: true });
  clock = new ManualClock(Date.parse('2026-01-01T00:00:00Z'));
  logs = makeLogs();
});
afterEach(() => {
  logs.stop();
  rmSync(stateDir, { recursive: true });
});

function makeLogs(): TaskLogs {
  const io = new SystemIo(new SystemClock());
  const made = new TaskLogs({ io, clock, log: silentLog, stateDir, nodeId: 'node1' });
  made.start();
  return made;
}
/** As a task does: appends to its file, whoever listens. */
function write(text: string, stream: 'out' | 'err' = 'out'): void {
  appendFileSync(join(stateDir, 'logs', ID, stream), text);
}
async function read(init: Init<LogRequest> = {}): Promise<string[]> {
  const lines: string[] = [];
  for await (const record of logs.read(ID, LogRequest.create(init), never)) {
    lines.push(Buffer.from(record.line).toString('utf8'));
  }
  return lines;
}

/** Takes the first half of what is appended when it is full, as a disk may. */
class FullIo extends SystemIo {
  isFull = false;
  override append(path: string, bytes: Uint8Array): void {
    super.append(path, this.isFull ? bytes.subarray(0, bytes.length / 2) : bytes);
    if (!this.isFull) return;
    throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
  }
}

describe('logs of a task', () => {
  it('are its lines, of both streams', async () => {
    logs.attach(ID);
    write('one\ntwo\n');
    write('bad\n', 'err');
    assert.deepEqual(await read(), ['one', 'two', 'bad']);
    assert.deepEqual(await read({ stdout: true }), ['one', 'two']);
    assert.deepEqual(await read({ stderr: true }), ['bad']);
  });
  it('are taken while nobody reads', async () => {
    logs.attach(ID);
    write('one\n');
    clock.advance(1_000);
    rmSync(join(stateDir, 'logs', ID, 'out'));
    assert.deepEqual(await read(), ['one']);
  });
  it('carry the time of reading and keep their order within a millisecond', async () => {
    logs.attach(ID);
    write('one\ntwo\n');
    const records = [];
    for await (const record of logs.read(ID, LogRequest.create(), never)) records.push(record);
    assert.equal(records[0]?.atWallMs, clock.wallMs());
    assert.ok(records[0]!.atNanos < records[1]!.atNanos);
  });
  it('neither lose nor repeat a line when the daemon is killed at any time', async () => {
    const expected: string[] = [];
    for (let life = 0; life < 5; life++) {
      logs = makeLogs();
      logs.attach(ID);
      write(`taken ${life}\n`);
      clock.advance(1_000);
      write(`not taken ${life}\nhalf`);
      expected.push(`taken ${life}`, `not taken ${life}`);
      logs.stop();
      write(` line ${life}\n`);
      expected.push(`half line ${life}`);
    }
    logs = makeLogs();
    logs.attach(ID);
    assert.deepEqual(await read(), expected);
  });
  it('can be read while the disk is full, and have every line once when there is room', async () => {
    logs.stop();
    const said: string[] = [];
    const log = { ...silentLog, warn: (_about: object, text: string) => void said.push(text) };
    const io = new FullIo(new SystemClock());
    logs = new TaskLogs({ io, clock, log, stateDir, nodeId: 'node1' });
    logs.start();
    logs.attach(ID);
    write('one\n');
    assert.deepEqual(await read(), ['one']);
    io.isFull = true;
    write('two\n');
    assert.deepEqual(await read(), ['one']);
    clock.advance(1_000);
    assert.deepEqual(await read(), ['one']);
    assert.deepEqual(said, ['log not taken']);
    io.isFull = false;
    write('three\n');
    assert.deepEqual(await read(), ['one', 'two', 'three']);
  });
  it('forget what was appended but not acknowledged by the cursor', async () => {
    logs.attach(ID);
    write('one\n');
    clock.advance(1_000);
    logs.stop();
    appendFileSync(join(stateDir, 'logs', ID, 'log.0'), 'a line that no cursor stands for\n');
    write('two\n');
    logs = makeLogs();
    logs.attach(ID);
    assert.deepEqual(await read(), ['one', 'two']);
  });
  it('hold an unfinished line back until the task has ended', async () => {
    logs.attach(ID);
    write('whole\npart');
    assert.deepEqual(await read(), ['whole']);
    logs.detach(ID);
    assert.deepEqual(await read(), ['whole', 'part']);
  });
  it('cut a line that is too long into parts', async () => {
    logs.attach(ID);
    write(`${'x'.repeat(LIMITS.logLineBytesMax + 10)}\n`);
    const records = [];
    for await (const record of logs.read(ID, LogRequest.create(), never)) records.push(record);
    assert.deepEqual(
      records.map((record) => [record.line.length, record.partial]),
      [
        [LIMITS.logLineBytesMax, true],
        [10, false],
      ],
    );
  });
  it('can be read when the task has ended, its output files being gone', async () => {
    logs.attach(ID);
    write('last words\n');
    logs.detach(ID);
    assert.deepEqual(readdirSync(join(stateDir, 'logs', ID)).sort(), ['cursor', 'log.0']);
    assert.deepEqual(await read(), ['last words']);
    assert.deepEqual(logs.lastLines(ID, 5), ['last words']);
  });
  it('are bounded: the oldest segment goes', async () => {
    logs.attach(ID);
    const line = `${'y'.repeat(1023)}\n`;
    for (let megabytes = 0; megabytes < 45; megabytes++) {
      write(line.repeat(1024));
      clock.advance(500);
    }
    const directory = join(stateDir, 'logs', ID);
    const segments = readdirSync(directory).filter((name) => name.startsWith('log.'));
    assert.ok(segments.length <= LIMITS.logFilesMax, segments.join());
    for (const name of segments) {
      assert.ok(statSync(join(directory, name)).size < LIMITS.logFileBytesMax + (3 << 20));
    }
  });
  it('have as many files of such a size as the service asks for', async () => {
    logs.attach(ID, { fileBytes: 4_096, files: 2 });
    const lines = Array.from({ length: 400 }, (_, at) => `${at} ${'z'.repeat(90)}`);
    write(`${lines.slice(0, 200).join('\n')}\n`);
    clock.advance(500);
    logs.stop();
    logs = makeLogs();
    logs.attach(ID, { fileBytes: 4_096, files: 2 });
    write(`${lines.slice(200).join('\n')}\n`);
    clock.advance(500);
    const directory = join(stateDir, 'logs', ID);
    const segments = readdirSync(directory).filter((name) => name.startsWith('log.'));
    assert.ok(segments.length <= 2, segments.join());
    for (const name of segments) assert.ok(statSync(join(directory, name)).size < 4_096 + 200);
    const [note, ...rest] = await read();
    assert.match(note!, /^\[swarm\] \d+ bytes/);
    assert.deepEqual(rest, lines.slice(-rest.length));
    assert.ok(rest.length >= 20);
  });
  it('say once how much has gone to make room, to readers of its beginning and to slow ones', async () => {
    logs.attach(ID);
    write('first\n');
    clock.advance(500);
    const directory = join(stateDir, 'logs', ID);
    const slow = logs.read(ID, LogRequest.create({ follow: true }), never)[Symbol.asyncIterator]();
    const textOf = async (): Promise<string> =>
      Buffer.from((await slow.next()).value.line).toString('utf8');
    assert.equal(await textOf(), 'first');
    let written = 0;
    const fill = (megabytes: number): void => {
      for (let i = 0; i < megabytes; i++) {
        write(`${'y'.repeat(1023)}\n`.repeat(1024));
        clock.advance(500);
      }
      written += megabytes;
    };
    fill(45);
    const kept = (): number =>
      readdirSync(directory)
        .filter((name) => name.startsWith('log.'))
        .reduce((sum, name) => sum + statSync(join(directory, name)).size, 0);
    const note = /^\[swarm\] (\d+) bytes of the log before this are gone: .* newest 30 MB$/;
    const [first = '', ...lines] = await read();
    const gone = Number(note.exec(first)?.[1]);
    assert.ok(gone > 10 << 20, first);
    const head = 1_024 + '2026-01-01T00:00:00.000000000Z stdout F '.length;
    const whole = written * 1_024 * head + 'first'.length + 1 + head - 1_024;
    assert.equal(gone + kept(), whole);
    assert.ok(lines.every((line) => line.startsWith('y')));
    assert.ok(!note.test((await read({ tail: 3 }))[0]!));
    assert.match(await textOf(), note);
    logs.stop();
    logs = makeLogs();
    logs.attach(ID);
    assert.equal((await read())[0], first);
  });
  it('say how much was dropped when a backlog is too long', async () => {
    write(`${'z'.repeat(1023)}\n`.repeat(40 * 1024));
    logs.attach(ID);
    const [first = ''] = await read();
    assert.match(first, /^\[swarm\] 31457280 bytes of output were dropped/);
  });
  it('give the blocks of what was read back to the disk', async () => {
    write(`${'z'.repeat(1023)}\n`.repeat(8 * 1024));
    const path = join(stateDir, 'logs', ID, 'out');
    const before = statSync(path).blocks;
    logs.attach(ID);
    const endMs = Date.now() + 10_000;
    while (statSync(path).blocks > before / 2 && Date.now() < endMs) {
      clock.advance(100);
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.ok(statSync(path).blocks <= before / 2);
    write('after\n');
    clock.advance(500);
    assert.deepEqual(await read({ tail: 1 }), ['after']);
  });
  it('show the last N lines, across segments and streams', async () => {
    logs.attach(ID);
    write('a\nb\n');
    write('c\n', 'err');
    assert.deepEqual(await read({ tail: 2 }), ['b', 'c']);
    assert.deepEqual(await read({ tail: 1, stdout: true }), ['b']);
    assert.deepEqual(await read({ tail: -1 }), []);
  });
  it('show what came since and until a time', async () => {
    logs.attach(ID);
    write('early\n');
    clock.advance(1_000);
    const middleMs = clock.wallMs() + 1;
    clock.advance(1_000);
    write('late\n');
    clock.advance(1_000);
    assert.deepEqual(await read({ sinceWallMs: middleMs }), ['late']);
    assert.deepEqual(await read({ untilWallMs: middleMs }), ['early']);
  });
  it('are followed until the task ends', async () => {
    logs.attach(ID);
    write('one\n');
    const following = read({ follow: true });
    await new Promise((resolve) => setImmediate(resolve));
    write('two\n');
    clock.advance(500);
    await new Promise((resolve) => setImmediate(resolve));
    write('three\n');
    logs.detach(ID);
    assert.deepEqual(await following, ['one', 'two', 'three']);
  });
  it('stop being followed when the reader goes', async () => {
    logs.attach(ID);
    const abort = new AbortController();
    const records = logs.read(ID, LogRequest.create({ follow: true }), abort.signal);
    const next = records[Symbol.asyncIterator]().next();
    abort.abort();
    assert.equal((await next).done, true);
  });
  it('of tasks that nobody knows are kept up to a number', () => {
    for (let i = 0; i < LIMITS.endedLogsMax + 5; i++) mkdirSync(join(stateDir, 'logs', `old${i}`));
    logs.collect(new Set([ID]));
    const left = readdirSync(join(stateDir, 'logs'));
    assert.equal(left.length, LIMITS.endedLogsMax + 1);
    assert.ok(left.includes(ID));
  });
  it('of tasks that nobody knows are deleted a few at a time', () => {
    for (let i = 0; i < LIMITS.endedLogsMax + 50; i++) mkdirSync(join(stateDir, 'logs', `old${i}`));
    const left = (): number => readdirSync(join(stateDir, 'logs')).length;
    logs.collect(new Set([ID]));
    assert.equal(left(), LIMITS.endedLogsMax + 1 + 30);
    clock.advance(20);
    clock.advance(20);
    assert.equal(left(), LIMITS.endedLogsMax + 1);
  });
  it('go with a task that is removed from history', () => {
    logs.remove(ID);
    assert.equal(existsSync(join(stateDir, 'logs', ID)), false);
  });
});
