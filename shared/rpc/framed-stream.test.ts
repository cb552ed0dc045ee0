import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Channel, Frame } from '../../proto/index.ts';
import { SwarmError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import { FramedStream } from './framed-stream.ts';

interface Pair {
  readonly left: FramedStream;
  readonly right: FramedStream;
  /** Frames that the left end sent. */
  readonly sent: Frame[];
  readonly violations: SwarmError[];
}

/** Two ends whose frames pass through their bytes. */
function pair(): Pair {
  const sent: Frame[] = [];
  const violations: SwarmError[] = [];
  const onViolation = (error: SwarmError): void => void violations.push(error);
  const carry = (to: () => FramedStream) => (frame: Frame) => {
    const bytes = Frame.encode(frame);
    queueMicrotask(() => to().take(Frame.decode(bytes)));
  };
  const left: FramedStream = new FramedStream({
    send: (frame) => {
      sent.push(frame);
      carry(() => right)(frame);
    },
    incoming: [Channel.OUTPUT],
    onViolation,
  });
  const right: FramedStream = new FramedStream({
    send: carry(() => left),
    incoming: [Channel.INPUT],
    onViolation,
  });
  return { left, right, sent, violations };
}

const sizeOf = (frames: readonly Frame[]): number =>
  frames.reduce((total, { data }) => total + (data?.data.length ?? 0), 0);
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('bytes of any number arrive in order, and then the end', async () => {
  const { left, right } = pair();
  const bytes = Buffer.alloc(5 * LIMITS.streamWindowBytes);
  for (let at = 0; at < bytes.length; at++) bytes[at] = at % 251;
  left.writer(Channel.INPUT).end(bytes);
  const chunks: Buffer[] = [];
  for await (const chunk of right.reader(Channel.INPUT)) chunks.push(chunk as Buffer);
  assert.ok(Buffer.concat(chunks).equals(bytes));
});

test('a sender has no more than a window under way to who does not read', async () => {
  const { left, right, sent } = pair();
  left.writer(Channel.INPUT).write(Buffer.alloc(3 * LIMITS.streamWindowBytes));
  for (let i = 0; i < 20; i++) await settle();
  assert.equal(sizeOf(sent), LIMITS.streamWindowBytes);
  for (const { data } of sent) assert.ok((data?.data.length ?? 0) <= LIMITS.streamPieceBytesMax);
  right.reader(Channel.INPUT).resume();
  for (let i = 0; i < 50; i++) await settle();
  assert.equal(sizeOf(sent), 3 * LIMITS.streamWindowBytes);
});

test('what is no data is passed on while a channel is full', async () => {
  const { left, sent } = pair();
  left.writer(Channel.INPUT).write(Buffer.alloc(2 * LIMITS.streamWindowBytes));
  left.send(Frame.create({ signal: 'SIGINT' }));
  await settle();
  assert.equal(sent.at(-1)?.signal, 'SIGINT');
});

test('an end that sends more than it may, or where nothing may come, is found out', async () => {
  const beyond = pair();
  const data = Buffer.alloc(LIMITS.streamWindowBytes + 1);
  beyond.right.take(Frame.create({ data: { channel: Channel.INPUT, data } }));
  assert.equal(beyond.violations[0]?.code, 'INVALID_ARGUMENT');
  const elsewhere = pair();
  elsewhere.right.take(Frame.create({ data: { channel: Channel.ERRORS, data: Buffer.from('x') } }));
  assert.equal(elsewhere.violations.length, 1);
});

test('a broken way fails who reads, an orderly end gives what had come', async () => {
  const broken = pair();
  const reading = broken.right.reader(Channel.INPUT).toArray();
  broken.right.close(new SwarmError('UNREACHABLE', 'lost'));
  await assert.rejects(reading, { code: 'UNREACHABLE' });
  const orderly = pair();
  orderly.right.take(Frame.create({ data: { channel: Channel.INPUT, data: Buffer.from('last') } }));
  orderly.right.close();
  assert.deepEqual((await orderly.right.reader(Channel.INPUT).toArray()).map(String), ['last']);
});
