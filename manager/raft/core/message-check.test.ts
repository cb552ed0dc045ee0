/** Nonsense from peers: every form of message, with every field at random. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Member } from './cluster.fixture.ts';
import { aLeader, aMember, entriesOf, seeded, voters } from './cluster.fixture.ts';
import type { Message, MessageType } from './types.ts';
import { message, NO_BYTES } from './types.ts';

/** What only a member that lost its log, or voted twice, can bring about; going on is worse. */
const MUST_STOP = /both lead term|the log lost entries|conflicts with a committed/;

function nonsense(random: (n: number) => number, term: number): Message {
  const index = random(8);
  const logTerm = random(4);
  const terms: number[] = [];
  for (let t = logTerm, n = random(3); n > 0; n--) {
    t += random(2);
    terms.push(t);
  }
  const confState = voters(...[1, 2, 3].filter(() => random(3) > 0));
  return message({
    type: (random(26) - 1) as MessageType,
    from: random(5),
    to: random(20) > 0 ? 1 : random(4),
    term: random(8) > 0 ? term : random(9),
    logTerm,
    index,
    commit: random(3) > 0 ? 0 : random(6),
    vote: random(4),
    reject: random(2) > 0,
    rejectHint: random(9),
    entries: entriesOf(terms, index + (random(10) > 0 ? 1 : 0)),
    snapshot:
      random(3) > 0 ? null : { index: random(9), term: random(4), confState, data: NO_BYTES },
    context: random(2) > 0 ? NO_BYTES : Uint8Array.of(0, 0, 0, 0, 0, 0, 0, random(5)),
  });
}

function disturb(m: Member, random: (n: number) => number): void {
  for (let i = 0; i < 60; i++) {
    m.raw.step(nonsense(random, m.raw.term));
    if (random(3) === 0) m.raw.tick();
    if (random(4) === 0) m.drain();
    if (random(10) === 0) m.raw.readIndex(NO_BYTES);
    if (random(10) === 0) m.raw.transferLeader(random(5));
  }
}

test('no nonsense makes the core fail, except proof that a promise of raft is broken', () => {
  const one = process.env['RAFT_SEED'];
  const seeds = one === undefined ? Array.from({ length: 1500 }, (_, i) => i) : [Number(one)];
  for (const seed of seeds) {
    const random = seeded(seed);
    const options = { random, checkQuorum: random(2) > 0 };
    const make = random(2) > 0 ? aMember : aLeader;
    const m = make({ log: [1, 1, 2], term: 2, options });
    try {
      disturb(m, random);
    } catch (cause) {
      const text = String(cause);
      assert(MUST_STOP.test(text), `RAFT_SEED=${seed} repeats this: ${(cause as Error).stack}`);
    }
  }
});

test('a member takes from itself only what it promised itself', () => {
  const m = aLeader();
  for (let type = 0; type <= 23; type++) {
    const own = message({ type: type as MessageType, from: 1, to: 1, term: 1, reject: true });
    const result = m.raw.step(own);
    const isPromise = [6, 13, 18].includes(type);
    assert.equal(result === 'ok', isPromise, `type ${type} was ${result}`);
  }
});
