import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Channel, Frame, type Init, type TaskStreamUp } from '../proto/index.ts';
import { SwarmError } from '../shared/errors.ts';
import type { MemoryDuplex } from '../shared/rpc/memory-duplex.fixture.ts';
import { DetachFilter, parseDetachKeys } from './terminal/detach-keys.ts';
import { RecordedIo } from './testing/recorded-io.ts';
import { runCli } from './testing/run-cli.ts';

type Far = MemoryDuplex<TaskStreamUp, Frame>;
type Script = (message: TaskStreamUp, say: (frame: Init<Frame>) => void) => void;

/** A daemon that answers each message of a talk. */
const daemon = (script: Script) => ({
  TaskStream: (far: Far) =>
    far.onMessage((message) => script(message, (frame) => far.send(Frame.create(frame)))),
});
const output = (channel: Channel, text: string): Init<Frame> => ({
  data: { channel, data: Buffer.from(text) },
});

test('exec prints both outputs and ends with the code of the command', async () => {
  const io = new RecordedIo();
  const answers = daemon(({ open, ref }, say) => {
    if (open === null) return;
    assert.deepEqual([ref, open.exec?.command], ['web.1', ['ls', '-l', '-t']]);
    say({ started: { pid: 5 } });
    say(output(Channel.OUTPUT, 'out'));
    say(output(Channel.ERRORS, 'err'));
    say({ ended: { code: 42 } });
  });
  const { code } = await runCli(['exec', 'web.1', 'ls', '-l', '-t'], answers, io);
  assert.deepEqual([code, io.terminal.printed, io.terminal.complained], [42, 'out', 'err']);
  assert.equal(io.terminal.wasRaw, false);
});

test('a command that can not begin is an error with the exit code of Docker', async () => {
  const answers = daemon(({ open }, say) => {
    if (open !== null) say({ ended: { code: 127, error: 'there is no command x' } });
  });
  const { code, err } = await runCli(['exec', 'web', 'x'], answers);
  assert.deepEqual([code, err], [127, 'Error: there is no command x.\n']);
  const gone = daemon(({ open }, say) => {
    if (open !== null) say({ ended: { error: 'it has ended', errorCode: 'PRECONDITION' } });
  });
  assert.equal((await runCli(['exec', 'web', 'x'], gone)).code, 4);
});

test('a terminal is raw while it lasts, passes its size on and is left by its keys', async () => {
  const io = new RecordedIo();
  const seen: TaskStreamUp[] = [];
  const answers = daemon((message, say) => {
    seen.push(message);
    const { open, frame } = message;
    if (open !== null) {
      say({ started: { terminal: true, input: true } });
      queueMicrotask(() => io.terminal.resize(120, 50));
      setImmediate(() => io.terminal.input.write(Buffer.from('ls\x10\x11')));
    }
    if (frame?.detach === true) say({ ended: {} });
  });
  const { code } = await runCli(['exec', '-it', 'web', 'sh'], answers, io);
  assert.equal(code, 0);
  assert.deepEqual([io.terminal.wasRaw, io.terminal.isRaw], [true, false]);
  assert.deepEqual({ ...seen[0]!.open!.exec!.terminal }, { columns: 100, rows: 40 });
  const typed = seen.flatMap(({ frame }) => (frame?.data ? [Buffer.from(frame.data.data)] : []));
  assert.equal(Buffer.concat(typed).toString(), 'ls');
});

test('a terminal is put right when the way to the task breaks', async () => {
  const io = new RecordedIo();
  const answers = {
    TaskStream: (far: Far) =>
      far.onMessage(({ open }) => {
        if (open === null) return;
        const names = { taskName: 'web.1', nodeName: 'n1' };
        far.send(Frame.create({ started: { terminal: true, input: true, ...names } }));
        far.end();
      }),
  };
  const { code, err } = await runCli(['exec', '-it', 'web', 'sh'], answers, io);
  assert.deepEqual([code, io.terminal.isRaw], [125, false]);
  assert.match(err, /connection to web\.1 on n1 broke off\. The connection to the task was lost/);
});

test('what a change of the leader ends says so, and its exit code is no command’s', async () => {
  const error = new SwarmError('NOT_LEADER', 'This manager does not lead.');
  const breaking = (begins: boolean) => ({
    TaskStream: (far: Far) =>
      far.onMessage(({ open }) => {
        if (open === null) return;
        const names = { taskName: 'web.1', nodeName: 'n1' };
        if (begins) far.send(Frame.create({ started: names }));
        far.destroy(error);
      }),
  });
  const broke = 'Error: The connection to web.1 on n1 broke off. Another manager leads now.\n';
  const hungUp = 'The command was hung up: see what it has done, and run it again.\n';
  const ran = await runCli(['exec', 'web', 'sh'], breaking(true));
  assert.deepEqual([ran.code, ran.err], [125, `${broke}${hungUp}`]);
  const attached = await runCli(['attach', 'web'], breaking(true));
  assert.deepEqual(
    [attached.code, attached.err],
    [125, `${broke}The task goes on: attach to it again.\n`],
  );
  assert.equal((await runCli(['exec', 'web', 'sh'], breaking(false))).code, 5);
});

test('-t needs a keyboard where input is passed on', async () => {
  const io = new RecordedIo();
  io.terminal.hasKeyboard = false;
  const { code, err } = await runCli(['exec', '-it', 'web', 'sh'], {}, io);
  assert.deepEqual([code, err.split('\n')[0]], [2, 'Error: The input device is not a TTY.']);
});

test('keys that detach are found over any pieces, and their beginnings are not lost', () => {
  const keys = parseDetachKeys('ctrl-p,ctrl-q');
  assert.deepEqual(keys, [0x10, 0x11]);
  const filter = new DetachFilter(keys);
  const take = (...bytes: number[]) => filter.take(Uint8Array.from(bytes));
  assert.deepEqual([...take(97, 0x10).bytes], [97]);
  assert.deepEqual([...take(98).bytes], [0x10, 98]);
  assert.deepEqual([...take(0x10, 0x10).bytes], [0x10]);
  assert.equal(take(0x11).detached, true);
  assert.throws(() => parseDetachKeys('ctrl-'), { code: 'INVALID_ARGUMENT' });
});
