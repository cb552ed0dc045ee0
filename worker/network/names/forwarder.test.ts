import assert from 'node:assert/strict';
import { createSocket, type RemoteInfo } from 'node:dgram';
import { createServer } from 'node:net';
import { type TestContext, test } from 'node:test';
import { ManualClock } from '../../../shared/clock.ts';
import { LIMITS } from '../../../shared/limits.ts';
import { SeededRandom } from '../../../shared/random.ts';
import { answerCode } from './answer.ts';
import { isAnswerTo } from './ask.ts';
import { Forwarder } from './forwarder.ts';
import { resolversIn } from './host-resolvers.ts';
import { CODE, TYPE } from './message.ts';
import { queryFor } from './names.fixture.ts';
import { framed, TcpMessages } from './tcp-messages.ts';

type Answer = (query: Buffer, from: RemoteInfo) => readonly Buffer[];

const END = 12 + 13 + 4;
const QUERY = queryFor('www.example', TYPE.A, { id: 77 });
const coded = (code: number) => (query: Buffer) => [answerCode(query, code, END, false)];

/** Resolvers on 127.0.0.1, 127.0.0.2 …, all on one port; undefined: nobody is there. */
async function stage(t: TestContext, ...answers: readonly (Answer | undefined)[]) {
  let port = 0;
  const seen: Buffer[][] = [];
  for (const [at, answer] of answers.entries()) {
    seen.push([]);
    const socket = createSocket('udp4');
    await new Promise<void>((resolve) => socket.bind(port, `127.0.0.${at + 1}`, () => resolve()));
    port = socket.address().port;
    if (answer === undefined) {
      socket.close();
      continue;
    }
    t.after(() => socket.close());
    socket.on('message', (query, from) => {
      seen[at]!.push(query);
      for (const each of answer(query, from)) socket.send(each, from.port, from.address);
    });
  }
  const clock = new ManualClock();
  const forwarder = new Forwarder({ clock, random: new SeededRandom(3), port });
  const servers = answers.map((_, at) => `127.0.0.${at + 1}`);
  const ask = (task = 't') => forwarder.ask(QUERY, servers, 'udp', task);
  return { clock, forwarder, ask, seen, port };
}

test('an answer comes back with the number of the query, which went out under another', async (t) => {
  const { ask, seen } = await stage(t, coded(CODE.NXDOMAIN));
  const answer = await ask();
  assert.equal(answer?.readUInt16BE(0), 77);
  assert.equal(answer[3]! & 15, CODE.NXDOMAIN);
  assert.notEqual(seen[0]![0]!.readUInt16BE(0), 77);
});

test('the next resolver is asked where one fails, refuses or is not there', async (t) => {
  for (const first of [coded(CODE.SERVFAIL), coded(CODE.REFUSED), undefined]) {
    const { ask } = await stage(t, first, coded(CODE.NOERROR));
    assert.equal((await ask())![3]! & 15, CODE.NOERROR);
  }
});

test('a failure is given on where nobody knows better', async (t) => {
  const { ask } = await stage(t, coded(CODE.REFUSED), coded(CODE.SERVFAIL));
  assert.equal((await ask())![3]! & 15, CODE.SERVFAIL);
});

test('answers with another number or to another question are not taken', async (t) => {
  const { ask } = await stage(t, (query) => {
    const number = answerCode(query, CODE.NXDOMAIN, END, false);
    number.writeUInt16BE((query.readUInt16BE(0) + 1) & 0xffff, 0);
    const other = queryFor('evil.example', TYPE.A, { id: query.readUInt16BE(0) });
    const question = answerCode(other, CODE.NXDOMAIN, other.length, false);
    return [number, question, ...coded(CODE.NOERROR)(query)];
  });
  assert.equal((await ask())![3]! & 15, CODE.NOERROR);
});

test('a resolver that says nothing is asked twice, and given up after four seconds', async (t) => {
  let heard: () => void = () => undefined;
  const { ask, clock, forwarder } = await stage(t, () => {
    heard();
    return [];
  });
  let next = new Promise<void>((resolve) => {
    heard = resolve;
  });
  const answer = ask();
  for (let round = 0; round < 2; round++) {
    await next;
    next = new Promise<void>((resolve) => {
      heard = resolve;
    });
    clock.advance(2_000);
  }
  assert.equal(await answer, undefined);
  assert.equal(forwarder.waiting, 0);
});

test('one task has its share of questions on the way, and all together theirs', async (t) => {
  const { ask, clock, forwarder } = await stage(t, () => []);
  const pending: Promise<unknown>[] = [];
  for (let n = 0; n < LIMITS.nameForwardsOfTaskMax; n++) pending.push(ask('greedy'));
  assert.equal(await ask('greedy'), undefined);
  assert.equal(forwarder.waiting, LIMITS.nameForwardsOfTaskMax);
  for (let n = forwarder.waiting; n < LIMITS.nameForwardsMax; n++) pending.push(ask(`t${n}`));
  assert.equal(await ask('another'), undefined);
  while (forwarder.waiting > 0) {
    clock.advance(2_000);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await Promise.all(pending);
});

test('what was asked over TCP is asked over TCP', async (t) => {
  const server = createServer((socket) => {
    const messages = new TcpMessages((query) => {
      const answer = framed(answerCode(query, CODE.NXDOMAIN, END, false));
      // In two pieces, as streams may come.
      socket.write(answer.subarray(0, 1));
      setImmediate(() => socket.write(answer.subarray(1)));
    });
    socket.on('data', (chunk) => messages.push(chunk));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const { port } = server.address() as { port: number };
  const random = new SeededRandom(3);
  const forwarder = new Forwarder({ clock: new ManualClock(), random, port });
  const answer = await forwarder.ask(QUERY, ['127.0.0.1'], 'tcp', 't');
  assert.equal(answer![3]! & 15, CODE.NXDOMAIN);
});

test('an answer may change the case of letters, and nothing else of the question', () => {
  const query = queryFor('wWw.example', TYPE.A, { id: 5 });
  const answerTo = (name: string, type: number = TYPE.A): Buffer => {
    const asked = queryFor(name, type, { id: 5 });
    return answerCode(asked, CODE.NOERROR, asked.length, false);
  };
  assert.equal(isAnswerTo(query, answerTo('www.EXAMPLE')), true);
  assert.equal(isAnswerTo(query, answerTo('www.example', TYPE.AAAA)), false);
  assert.equal(isAnswerTo(query, query), false);
});

test('resolvers of the host are those of its file, loopback and IPv6 included', () => {
  const text = '# x\nnameserver 127.0.0.53\n nameserver 2001:db8::1\nnameserver no\nsearch a b\n';
  assert.deepEqual(resolversIn(text), ['127.0.0.53', '2001:db8::1']);
  assert.deepEqual(resolversIn(''), ['127.0.0.1']);
});
