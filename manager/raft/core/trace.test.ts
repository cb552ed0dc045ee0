/** Trace lines that no published script shows; they are read in the worst of moments. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Member, MemberState } from './cluster.fixture.ts';
import { aLeader, aMember, entriesOf, voters } from './cluster.fixture.ts';
import { TraceLevel } from './config.ts';
import {
  describeEntry,
  describeLength,
  describeMessage,
  describeReady,
  describeTarget,
} from './describe-message.ts';
import type { MessageFields, Snapshot } from './types.ts';
import {
  EntryType,
  LOCAL_APPEND,
  LOCAL_APPLY,
  MessageType,
  message,
  NO_BYTES,
  StateType,
} from './types.ts';

const lines: string[] = [];
const trace = { level: TraceLevel.Debug, write: (_: TraceLevel, line: string) => lines.push(line) };

function listening(make: (s: MemberState) => Member, state: MemberState, act: (m: Member) => void) {
  const m = make({ ...state, options: { ...state.options, trace } });
  lines.length = 0;
  act(m);
  return lines.slice();
}

function aSnapshot(index: number, term: number, ...ids: number[]): Snapshot {
  return { index, term, confState: voters(...ids), data: NO_BYTES };
}

const { AppResp, TransferLeader, TimeoutNow, Snap, Prop, ReadIndex } = MessageType;

const TRANSFERS: readonly [(m: Member) => void, string][] = [
  [(m) => m.raw.transferLeader(1), '1 is already leader. Ignored transferring leadership to self'],
  [(m) => m.raw.transferLeader(4), '1 is learner. Ignored transferring leadership'],
  [(m) => m.raw.transferLeader(9), '1 no progress available for 9'],
  [(m) => m.raw.transferLeader(2), '1 [term 1] starts to transfer leadership to 2'],
  [
    (m) => {
      m.raw.transferLeader(2);
      m.raw.transferLeader(2);
    },
    '1 [term 1] transfer leadership to 2 is in progress, ignores request to same node 2',
  ],
  [
    (m) => {
      m.raw.transferLeader(2);
      m.raw.transferLeader(3);
    },
    '1 [term 1] abort previous transferring leadership to 2',
  ],
  [
    (m) => {
      m.raw.transferLeader(2);
      m.raw.propose(NO_BYTES, 1);
    },
    '1 [term 1] transfer leadership to 2 is in progress; dropping proposal',
  ],
  [
    (m) => {
      m.raw.transferLeader(2);
      m.receive({ type: AppResp, from: 2, index: 1 });
    },
    '1 sent MsgTimeoutNow to 2 after received MsgAppResp',
  ],
  [(m) => m.raw.campaign(), '1 ignoring MsgHup because already leader'],
  [(m) => m.raw.stepDown(), '1 stepped down to follower since it was asked to'],
];

for (const [act, line] of TRANSFERS) {
  test(`a leader says: ${line}`, () => {
    assert(listening(aLeader, { learners: [4] }, act).includes(line));
  });
}

function receive(fields: MessageFields): (m: Member) => void {
  return (m) => void m.receive(fields);
}

const FOLLOWING: readonly [MemberState, (m: Member) => void, string][] = [
  [
    { term: 2 },
    receive({ type: TransferLeader, from: 2, term: 0 }),
    '1 no leader at term 2; dropping leader transfer msg',
  ],
  [
    { term: 2 },
    receive({ type: ReadIndex, from: 2, term: 0 }),
    '1 no leader at term 2; dropping index reading msg',
  ],
  [
    { term: 2 },
    receive({ type: Prop, from: 2, term: 0, entries: entriesOf([0]) }),
    '1 no leader at term 2; dropping proposal',
  ],
  [
    { log: [1, 1, 1], commit: 3 },
    receive({ type: Snap, from: 2, snapshot: aSnapshot(2, 1, 1, 2, 3) }),
    '1 [commit: 3] ignored snapshot [index: 2, term: 1]',
  ],
  [
    { log: [1, 1, 1] },
    receive({ type: Snap, from: 2, snapshot: aSnapshot(2, 1, 1, 2, 3) }),
    '1 [commit: 0, lastindex: 3, lastterm: 1] ' +
      'fast-forwarded commit to snapshot [index: 2, term: 1]',
  ],
  [
    { log: [1] },
    receive({ type: Snap, from: 2, snapshot: aSnapshot(5, 1, 2, 3) }),
    '1 attempted to restore snapshot but it is not in the ConfState; should never happen',
  ],
  [
    { log: [1, 1, 1] },
    (m) => {
      m.receive({
        type: MessageType.App,
        from: 2,
        index: 3,
        logTerm: 1,
        entries: entriesOf([1, 1], 4),
      });
      m.raw.step(
        message({
          type: MessageType.App,
          from: 2,
          to: 1,
          term: 1,
          index: 5,
          logTerm: 1,
          entries: entriesOf([1, 1], 6),
        }),
      );
      m.raw.step(
        message({
          type: MessageType.App,
          from: 3,
          to: 1,
          term: 2,
          index: 6,
          logTerm: 1,
          entries: entriesOf([2], 7),
        }),
      );
    },
    'truncate the unstable entries before index 7',
  ],
  [
    { term: 2 },
    (m) => {
      m.raw.campaign();
      m.receive({ type: TimeoutNow, from: 2 });
    },
    '1 [term 3 state StateCandidate] ignored MsgTimeoutNow from 2',
  ],
];

for (const [state, act, line] of FOLLOWING) {
  test(`a member that does not lead says: ${line}`, () => {
    assert(listening(aMember, state, act).includes(line), lines.join('\n'));
  });
}

test('a candidate drops what only a leader can do', () => {
  const m = aMember();
  m.raw.campaign();
  assert.equal(m.raw.readIndex(NO_BYTES), false);
  assert.equal(m.raw.proposeForward(NO_BYTES), 'dropped');
  m.raw.transferLeader(2);
  m.receive({ type: MessageType.Heartbeat, from: 2 });
  assert.deepEqual([m.raw.state, m.raw.lead], [StateType.Follower, 2]);
  m.raw.campaign();
  m.receive({ type: Snap, from: 2, term: 1, snapshot: aSnapshot(3, 1, 1, 2) });
  assert.equal(m.raw.state, StateType.Candidate, 'its term is over');
  m.receive({ type: Snap, from: 2, snapshot: aSnapshot(3, 1, 1, 2) });
  assert.deepEqual([m.raw.state, m.raw.committed], [StateType.Follower, 3]);
});

test('a snapshot that is not ready, or for a silent member, is not sent', () => {
  const silent = listening(aLeader, { log: [1, 1], term: 1 }, (m) => {
    m.storage.term = () => 'compacted';
    for (const p of m.raw.status().progress) p.restart(0, 1);
    m.raw.retryAppends();
  });
  assert(silent.includes('ignore sending snapshot to 2 since it is not recently active'));
  const pending = listening(aLeader, { log: [1, 1], term: 1 }, (m) => {
    m.storage.entries = () => 'compacted';
    m.storage.snapshot = () => 'pending';
    m.receive({ type: AppResp, from: 2, index: 2, reject: true, rejectHint: 0 });
  });
  assert(
    pending.includes('1 failed to send snapshot to 2 because snapshot is temporarily unavailable'),
    pending.join('\n'),
  );
});

test('messages show lengths, never what users store', () => {
  const [entry] = entriesOf([3], 7);
  const m = message({ type: MessageType.App, from: 1, to: 255, term: 3, entries: [entry!] });
  assert.equal(
    describeMessage(m, describeLength),
    '1->ff MsgApp Term:3 Log:0/0 Entries:[3/7 EntryNormal 2 bytes]',
  );
  const broken = { term: 1, index: 2, type: EntryType.ConfChangeV2, data: Uint8Array.of(255) };
  assert.equal(describeEntry(broken, describeLength), '1/2 EntryConfChangeV2 malformed');
});

test('the local threads have names', () => {
  assert.deepEqual([LOCAL_APPEND, LOCAL_APPLY, 10].map(describeTarget), [
    'AppendThread',
    'ApplyThread',
    'a',
  ]);
});

test('a Ready with reads shows their index', () => {
  const m = aLeader({ voters: [1] });
  m.raw.readIndex(NO_BYTES);
  assert.match(describeReady(m.raw.ready(), describeLength), /^ReadState Index:1$/m);
});
