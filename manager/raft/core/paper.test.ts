/** What the paper and the dissertation promise, section by section (3.4 to 3.6 and figure 3.1). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { aLeader, aMember, entriesOf, TestCluster, voters } from './cluster.fixture.ts';
import type { Message } from './types.ts';
import { MessageType, StateType } from './types.ts';

const { Follower, Candidate, Leader } = StateType;
const { App, AppResp, Heartbeat, HeartbeatResp, Vote, VoteResp } = MessageType;
const DATA = Uint8Array.of(7);

function ofType(messages: readonly Message[], type: MessageType): Message[] {
  return messages.filter((m) => m.type === type);
}

test('a follower, a candidate and a leader take up a higher term and follow', () => {
  const candidate = aMember();
  candidate.raw.campaign();
  for (const m of [aMember({ term: 1 }), candidate, aLeader()]) {
    m.receive({ type: App, from: 2, term: 9 });
    assert.equal(m.raw.term, 9);
    assert.equal(m.raw.state, Follower);
    assert.equal(m.raw.lead, 2);
  }
});

test('a message of an older term changes nothing', () => {
  const m = aMember({ log: [1, 2], term: 2 });
  const out = m.receive({ type: App, from: 2, term: 1, entries: entriesOf([1]) });
  assert.equal(out.length, 0);
  assert.equal(m.raw.lastIndex, 2);
  assert.equal(m.raw.lead, 0);
});

test('a member starts as a follower without a leader', () => {
  const { raw } = aMember({ log: [1, 1], term: 3, vote: 2, commit: 1 });
  assert.deepEqual(
    [raw.state, raw.term, raw.vote, raw.lead, raw.committed],
    [Follower, 3, 2, 0, 1],
  );
});

test('a leader sends a heartbeat to each member every heartbeat interval', () => {
  const m = aLeader({ options: { heartbeatTicks: 2 } });
  m.raw.tick();
  assert.deepEqual(ofType(m.drain(), Heartbeat), []);
  m.raw.tick();
  const beats = ofType(m.drain(), Heartbeat);
  assert.deepEqual(
    beats.map((b) => [b.to, b.term, b.commit]),
    [
      [2, 1, 0],
      [3, 1, 0],
    ],
  );
});

for (const state of ['follower', 'candidate'] as const) {
  test(`a ${state} that hears nothing for its timeout starts a new election`, () => {
    const m = aMember({ term: 1, options: { electionTicks: 10 } });
    if (state === 'candidate') m.raw.campaign();
    m.drain();
    const before = m.raw.term;
    for (let i = 0; i < 20; i++) m.raw.tick();
    const requests = ofType(m.drain(), Vote);
    assert.equal(m.raw.state, Candidate);
    assert(m.raw.term > before);
    assert.equal(m.raw.vote, 1);
    assert.deepEqual(new Set(requests.map((r) => r.to)), new Set([2, 3]));
  });

  test(`the timeout of a ${state} is drawn between one and two election intervals`, () => {
    const seen = new Set<number>();
    for (let draw = 0; draw < 10; draw++) {
      const m = aMember({ options: { electionTicks: 10, random: () => draw } });
      if (state === 'candidate') m.raw.campaign();
      const before = m.raw.term;
      let ticks = 0;
      while (m.raw.term === before) {
        m.raw.tick();
        ticks++;
      }
      seen.add(ticks);
    }
    assert.deepEqual(
      [...seen].sort((a, b) => a - b),
      [10, 11, 12, 13, 14, 15, 16, 17, 18, 19],
    );
  });

  test(`different draws keep every ${state} from campaigning at the same tick`, () => {
    const members = [1, 2, 3].map((id) =>
      aMember({ id, options: { electionTicks: 10, random: () => id * 2 } }),
    );
    if (state === 'candidate') for (const m of members) m.raw.campaign();
    const terms = members.map((m) => m.raw.term);
    for (let i = 0; i < 12; i++) for (const m of members) m.raw.tick();
    const moved = members.filter((m, i) => m.raw.term > terms[i]!);
    assert.deepEqual(
      moved.map((m) => m.id),
      [1],
    );
  });
}

const ELECTIONS: readonly [size: number, granted: number[], rejected: number[], StateType][] = [
  [1, [], [], Leader],
  [3, [2, 3], [], Leader],
  [3, [2], [], Leader],
  [5, [2, 3, 4, 5], [], Leader],
  [5, [2, 3], [], Leader],
  [3, [], [2, 3], Follower],
  [5, [], [2, 3, 4, 5], Follower],
  [5, [2], [3, 4, 5], Follower],
  [3, [], [], Candidate],
  [5, [2], [], Candidate],
  [5, [], [2, 3], Candidate],
];

for (const [size, granted, rejected, state] of ELECTIONS) {
  const votes = `${granted.length + 1} for and ${rejected.length} against`;
  test(`of ${size} voters, ${votes} make it state ${state}`, () => {
    const m = aMember({ voters: Array.from({ length: size }, (_, i) => i + 1) });
    m.raw.campaign();
    m.drain();
    for (const from of granted) m.receive({ type: VoteResp, from });
    for (const from of rejected) {
      if (m.raw.state === Candidate) m.receive({ type: VoteResp, from, reject: true });
    }
    assert.equal(m.raw.state, state);
    assert.equal(m.raw.term, 1);
  });
}

for (const [vote, from, granted] of [
  [0, 2, true],
  [0, 3, true],
  [2, 2, true],
  [3, 3, true],
  [2, 3, false],
  [3, 2, false],
] as const) {
  test(`having voted for ${vote}, a vote for ${from} is ${granted ? 'granted' : 'refused'}`, () => {
    const m = aMember({ term: 1, vote });
    const [answer] = m.receive({ type: Vote, from, term: 1 });
    assert.equal(answer?.type, VoteResp);
    assert.equal(answer?.reject, !granted);
    assert.equal(answer?.term, 1);
  });
}

for (const term of [1, 2]) {
  test(`a candidate of term 1 yields to a leader of term ${term}`, () => {
    const m = aMember();
    m.raw.campaign();
    m.receive({ type: App, from: 2, term });
    assert.deepEqual([m.raw.state, m.raw.term, m.raw.lead], [Follower, term, 2]);
  });
}

function acknowledge(m: ReturnType<typeof aLeader>, ...from: number[]): Message[] {
  const index = m.raw.lastIndex;
  return from.flatMap((id) => m.receive({ type: AppResp, from: id, index }));
}

test('a leader sends new entries to all in parallel, after the entry before them', () => {
  const m = aLeader();
  acknowledge(m, 2, 3);
  assert(m.raw.propose(DATA, 1).ok);
  const sent = ofType(m.drain(), App);
  assert.deepEqual(
    sent.map((a) => [a.to, a.index, a.logTerm, a.commit, a.entries.map((e) => e.index)]),
    [
      [2, 1, 1, 1, [2]],
      [3, 1, 1, 1, [2]],
    ],
  );
});

test('a leader commits and applies what a majority has, and tells the others', () => {
  const m = aLeader();
  acknowledge(m, 2, 3);
  m.raw.propose(DATA, 1);
  m.drain();
  const told = ofType(acknowledge(m, 2), App);
  assert.equal(m.raw.committed, 2);
  assert.deepEqual(m.state.get(2)?.data, DATA);
  assert(told.every((a) => a.commit === 2));
});

for (const [size, acks, isCommitted] of [
  [1, [], true],
  [3, [], false],
  [3, [2], true],
  [3, [2, 3], true],
  [5, [2], false],
  [5, [2, 3], true],
  [5, [2, 3, 4, 5], true],
] as const) {
  test(`${acks.length} followers of ${size} members ${isCommitted ? '' : 'do not '}commit`, () => {
    const m = aLeader({ voters: Array.from({ length: size }, (_, i) => i + 1) });
    m.raw.propose(DATA, m.raw.term);
    m.drain();
    acknowledge(m, ...acks);
    assert.equal(m.raw.committed === m.raw.lastIndex, isCommitted);
  });
}

for (const log of [[], [2], [1, 2], [1]]) {
  test(`a commit in term 3 commits the entries [${log}] of earlier terms with it`, () => {
    const m = aLeader({ log, term: 2 });
    m.raw.propose(DATA, 3);
    m.drain();
    acknowledge(m, 2);
    assert.equal(m.raw.committed, log.length + 2);
    assert.deepEqual(
      [...m.state.values()].map((e) => e.term),
      [...log, 3, 3],
    );
  });
}

test('a follower applies what the leader says is committed, in log order', () => {
  for (const commit of [1, 2, 3]) {
    const m = aMember({ term: 1 });
    m.receive({ type: App, from: 2, entries: entriesOf([1, 1, 1]), commit });
    assert.equal(m.raw.committed, commit);
    assert.deepEqual([...m.state.keys()], [1, 2, 3].slice(0, commit));
  }
});

for (const [index, logTerm, reject, hint, hintTerm] of [
  [0, 0, false, 0, 0],
  [1, 1, false, 0, 0],
  [2, 2, false, 0, 0],
  [1, 2, true, 1, 1],
  [3, 3, true, 2, 2],
  [2, 1, true, 1, 1],
] as const) {
  const verdict = reject ? `refused, hint ${hint} of term ${hintTerm}` : 'accepted';
  test(`behind log [1, 2], entries after ${index} of term ${logTerm} are ${verdict}`, () => {
    const m = aMember({ log: [1, 2], commit: 0, term: 2 });
    const [answer] = m.receive({ type: App, from: 2, term: 3, index, logTerm });
    assert.equal(answer?.reject, reject);
    assert.equal(answer?.index, index);
    assert.deepEqual([answer?.rejectHint, answer?.logTerm], [hint, hintTerm]);
  });
}

for (const [index, logTerm, given, result] of [
  [2, 2, [3], [1, 2, 3]],
  [1, 1, [3, 4], [1, 3, 4]],
  [0, 0, [1], [1, 2]],
  [0, 0, [3], [3]],
] as const) {
  test(`log [1, 2] with [${given}] after ${index} becomes [${result}]`, () => {
    const m = aMember({ log: [1, 2], term: 2 });
    const entries = entriesOf(given, index + 1);
    m.receive({ type: App, from: 2, term: 4, index, logTerm, entries });
    assert.deepEqual(
      m.log().map((e) => e.term),
      result,
    );
  });
}

/** Figure 3.6 (7 of the paper): every way in which a follower's log can differ. */
for (const log of [
  [1, 1, 1, 4, 4, 5, 5, 6, 6],
  [1, 1, 1, 4],
  [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
  [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
  [1, 1, 1, 4, 4, 4, 4],
  [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
]) {
  test(`a leader makes a follower with log [${log}] equal to its own`, () => {
    const leaderLog = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6];
    const cluster = new TestCluster(voters(1, 2, 3), { preVote: false, checkQuorum: false });
    cluster.members[0] = aMember({ id: 1, log: leaderLog, term: 8 });
    cluster.members[1] = aMember({ id: 2, log, term: 7 });
    cluster.members[2] = aMember({ id: 3, log: [], term: 7 });
    cluster.elect(1);
    cluster.raw(1).propose(DATA, cluster.raw(1).term);
    cluster.settle();
    assert.deepEqual(cluster.member(2).log(), cluster.member(1).log());
    assert.equal(cluster.raw(2).applied, leaderLog.length + 2);
  });
}

test('a vote request names the last entry of the log', () => {
  const m = aMember({ log: [1, 2], term: 2 });
  for (let i = 0; i < 20 && m.raw.state !== Candidate; i++) m.raw.tick();
  const requests = ofType(m.drain(), Vote);
  assert.deepEqual(
    requests.map((r) => [r.to, r.term, r.index, r.logTerm]),
    [
      [2, 3, 2, 2],
      [3, 3, 2, 2],
    ],
  );
});

for (const [log, index, logTerm, granted] of [
  [[1], 1, 1, true],
  [[1], 2, 1, true],
  [[1, 1], 1, 1, false],
  [[1], 1, 2, true],
  [[1], 2, 2, true],
  [[1, 1], 1, 2, true],
  [[2], 1, 1, false],
  [[2], 2, 1, false],
  [[1, 2], 1, 1, false],
] as const) {
  const what = granted ? 'granted to' : 'refused to';
  test(`behind log [${log}] a vote is ${what} a log up to ${index} of term ${logTerm}`, () => {
    const m = aMember({ log });
    const [answer] = m.receive({ type: Vote, from: 2, term: 3, index, logTerm });
    assert.equal(answer?.reject, !granted);
  });
}

for (const [index, committed] of [
  [1, 0],
  [2, 0],
  [3, 3],
] as const) {
  test(`entries of earlier terms do not commit by counting: ${index} gives ${committed}`, () => {
    const m = aLeader({ log: [1, 2], term: 2 });
    m.receive({ type: AppResp, from: 2, index });
    assert.equal(m.raw.committed, committed);
  });
}

test('a heartbeat is answered by a follower in the same term', () => {
  const m = aMember({ term: 2 });
  const [answer] = m.receive({ type: Heartbeat, from: 2, context: DATA });
  assert.deepEqual([answer?.type, answer?.to, answer?.term], [HeartbeatResp, 2, 2]);
  assert.deepEqual(answer?.context, DATA);
});
