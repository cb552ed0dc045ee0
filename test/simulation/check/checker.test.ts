import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EntryType, MessageType } from '../../../manager/raft/core/index.ts';
import type { RowChange } from '../../../manager/replication.ts';
import type { AppliedEntry } from '../../../manager/store/view.ts';
import { LIMITS } from '../../../shared/limits.ts';
import { Trio } from './trio.fixture.ts';

/** What breaks a promise, and what the checker says. */
interface Breach {
  readonly says: RegExp;
  readonly plant: (trio: Trio) => void;
}
const { App, AppResp, Heartbeat, PreVote, VoteResp } = MessageType;

const BREACHES: { readonly [name: string]: Breach } = {
  'two leaders in one term': {
    says: /^member 2: leads term 2, which 1 leads/,
    plant: (trio) => {
      trio.elect(1, 2, [1, 3]);
      trio.send(2, { type: Heartbeat, term: 2 });
    },
  },
  'a leader that a minority elected': {
    says: /leads term 2 by 1 votes of 3/,
    plant: (trio) => trio.elect(2, 2, [2]),
  },
  'a leader that is no voter': {
    says: /leads term 2 and has no vote/,
    plant: (trio) => {
      const voters = { voters: [1, 2], learners: [3] };
      trio.of(3).confState = { ...trio.of(3).confState, ...voters };
      trio.elect(3, 2, [1, 2]);
    },
  },
  'a leader without a committed entry': {
    says: /member 3: leads term 2 without committed entry 4/,
    plant: (trio) => {
      trio.replicate([1, 2], { index: 4, term: 1 });
      trio.apply(1, 4, 1);
      trio.elect(3, 2, [2, 3]);
      trio.write(3, [{ index: 4, term: 2 }]);
    },
  },
  'a vote before it is durable': {
    says: /member 2: voted in term 2 before it was durable/,
    plant: (trio) => trio.send(2, { type: VoteResp, to: 3, term: 2 }),
  },
  'two votes in a term': {
    says: /member 2: its vote of term 2 changed/,
    plant: (trio) => {
      trio.write(2, [], { term: 2, vote: 1 });
      trio.write(2, [], { vote: 3 });
    },
  },
  'a vote that a restart forgot': {
    says: /member 2: opened with another vote in term 2/,
    plant: (trio) => {
      trio.write(2, [], { term: 2, vote: 1 });
      trio.checker.opened(trio.of(2), trio.ops(2, [], { vote: 0 }), []);
    },
  },
  'a term that falls': {
    says: /member 2: its term fell to 1/,
    plant: (trio) => {
      trio.write(2, [], { term: 2 });
      trio.write(2, [], { term: 1 });
    },
  },
  'a term that falls over a restart': {
    says: /member 2: opened in term 1 after 2/,
    plant: (trio) => {
      trio.write(2, [], { term: 2 });
      trio.checker.opened(trio.of(2), trio.ops(2, [], { term: 1 }), []);
    },
  },
  'a commit index that falls': {
    says: /member 2: its commit index fell/,
    plant: (trio) => {
      trio.write(2, [], { commit: 3 });
      trio.write(2, [], { commit: 2 });
    },
  },
  'two entries of the same index and term': {
    says: /member 2: another entry at 1\/4\/1/,
    plant: (trio) => {
      trio.replicate([1], { index: 4, term: 1, data: 'a' });
      trio.replicate([2], { index: 4, term: 1, data: 'b' });
    },
  },
  'two histories before the same entry': {
    says: /member 2: another history before 1\/5\/3/,
    plant: (trio) => {
      trio.replicate([1], { index: 4, term: 2 }, { index: 5, term: 3 });
      trio.replicate([2], { index: 4, term: 3 }, { index: 5, term: 3 });
    },
  },
  'an entry that was applied and is dropped': {
    says: /member 1: dropped entry 4 of term 1, which it applied/,
    plant: (trio) => {
      trio.replicate([1, 2], { index: 4, term: 1 });
      trio.apply(1, 4, 1);
      trio.write(1, [], {}, [4]);
    },
  },
  'a committed entry that is on no quorum any more': {
    says: /member 2: dropped the committed entry 4 of term 1/,
    plant: (trio) => {
      trio.replicate([1, 2], { index: 4, term: 1 });
      trio.apply(1, 4, 1);
      trio.write(2, [], {}, [4]);
    },
  },
  'a committed entry that a restart lost': {
    says: /member 2: opened without the durable committed entry 4/,
    plant: (trio) => {
      trio.replicate([1, 2], { index: 4, term: 1 });
      trio.apply(1, 4, 1);
      const type = EntryType.ConfChangeV2;
      const left = [2, 3].map((index) => ({ index, term: 1, type }));
      trio.checker.opened(trio.of(2), trio.ops(2, left, {}, [4]), []);
    },
  },
  'an acknowledgement of what is not durable': {
    says: /member 2: acknowledged entry 4 before it was durable/,
    plant: (trio) => trio.send(2, { type: AppResp, to: 1, index: 4 }),
  },
  'an acknowledgement of another entry': {
    says: /member 2: acknowledged entry 4, and has another one there/,
    plant: (trio) => {
      trio.write(1, [], { term: 2 });
      trio.elect(1, 2, [1, 3]);
      const entries = [{ index: 4, term: 2 }];
      trio.send(1, { type: App, to: 2, term: 2, index: 3, logTerm: 1, entries });
      trio.replicate([2], { index: 4, term: 1 });
      trio.write(2, [], { term: 2 });
      trio.send(2, { type: AppResp, to: 1, term: 2, index: 4 });
    },
  },
  'an acknowledgement of a member whose state is damaged': {
    says: /member 2: its state is damaged, and it makes promises/,
    plant: (trio) => {
      trio.checker.damaged(2);
      trio.send(2, { type: AppResp, to: 1, index: 3 });
    },
  },
  'an entry applied before its own disk has it': {
    says: /member 1: applied entry 4 before its own disk had it/,
    plant: (trio) => {
      trio.replicate([2, 3], { index: 4, term: 1 });
      trio.apply(1, 4, 1);
    },
  },
  'an entry applied that is durable on no quorum': {
    says: /member 1: applied 4 of term 1, durable on no quorum/,
    plant: (trio) => {
      trio.replicate([1], { index: 4, term: 1 });
      trio.apply(1, 4, 1);
    },
  },
  'an entry of an older term committed by counting': {
    says: /member 1: applied 5 of term 2, durable on no quorum/,
    plant: (trio) => {
      trio.replicate([1, 2], { index: 4, term: 1 });
      trio.elect(1, 2, [1, 3]);
      trio.write(1, [{ index: 5, term: 2 }]);
      trio.apply(1, 4, 1);
    },
  },
  'another entry applied at the same index': {
    says: /member 2: applied another entry at 4/,
    plant: (trio) => {
      trio.replicate([1, 2], { index: 4, term: 1 });
      trio.apply(1, 4, 1, [row('a')]);
      trio.apply(2, 4, 1, [row('b')]);
    },
  },
  'an entry left out': {
    says: /member 1: applied 5 after 3/,
    plant: (trio) => {
      trio.replicate([1, 2], { index: 4, term: 1 }, { index: 5, term: 1 });
      trio.apply(1, 5, 1);
    },
  },
  'a campaign before a change of members is applied': {
    says: /member 2: stands before it applied the members of 4/,
    plant: (trio) => {
      trio.replicate([1, 2, 3], { index: 4, term: 1, type: EntryType.ConfChangeV2 });
      trio.change(1, 4, 1, [1, 2]);
      trio.of(2).committedIndex = 4;
      trio.send(2, { type: PreVote, to: 1 });
    },
  },
  'two changes of members that are open at once': {
    says: /member 1: changes of members at 4,5 are open at once/,
    plant: (trio) => {
      const type = EntryType.ConfChangeV2;
      trio.replicate([1], { index: 4, term: 1, type }, { index: 5, term: 1, type });
    },
  },
  'two voters that change at once': {
    says: /member 1: two voters changed at once/,
    plant: (trio) => {
      trio.replicate([1, 2, 3], { index: 4, term: 1, type: EntryType.ConfChangeV2 });
      trio.change(1, 4, 1, [1]);
    },
  },
  'a snapshot of what nobody committed': {
    says: /member 3: loaded 9, which nobody committed/,
    plant: (trio) => trio.checker.loaded(trio.of(3), 9, []),
  },
  'a snapshot with other rows': {
    says: /member 3: its state at 3 is another one: cluster\/a/,
    plant: (trio) => trio.checker.loaded(trio.of(3), 3, [row('a')]),
  },
  'a recovery that lost what was committed': {
    says: /member 1: cluster\/a is not as it was at 4/,
    plant: (trio) => {
      trio.replicate([1, 2], { index: 4, term: 1 });
      trio.apply(1, 4, 1, [row('a')]);
      trio.checker.cut(4, 4);
      trio.of(1).epoch = 2;
      trio.checker.loaded(trio.of(1), 1_000_004, []);
    },
  },
  'cluster time that goes back': {
    says: /cluster time went back from 20 to 10/,
    plant: (trio) => {
      trio.replicate([1, 2], { index: 4, term: 1 }, { index: 5, term: 1 });
      for (const [index, timeMs] of [[4, 20] as const, [5, 10] as const]) {
        trio.apply(1, index, 1);
        trio.checker.stored(trio.of(1), entryOf(index, timeMs), []);
      }
    },
  },
  'cluster time that differs': {
    says: /member 2: entry 4 is of 21, not 20/,
    plant: (trio) => {
      trio.replicate([1, 2], { index: 4, term: 1 });
      for (const id of [1, 2]) {
        trio.apply(id, 4, 1);
        trio.checker.stored(trio.of(id), entryOf(4, 19 + id), []);
      }
    },
  },
  'a request that is done twice': {
    says: /token was done twice, at 5 again/,
    plant: ({ checker }) => {
      checker.answers.done(['token'], 4);
      checker.answers.done(['token'], 5);
    },
  },
  'a request that was refused and is done': {
    says: /token was refused and is done at 4/,
    plant: ({ checker }) => {
      checker.answers.refused('token');
      checker.answers.done(['token'], 4);
    },
  },
  'a request that was done and is refused': {
    says: /token was refused and was done at 4/,
    plant: ({ checker }) => {
      checker.answers.done(['token'], 4);
      checker.answers.refused('token');
    },
  },
  'an answer to what is not in the state': {
    says: /token was answered and is not in the state/,
    plant: ({ checker }) => checker.answers.answered('token'),
  },
  'a read from the past': {
    says: /member 2: a read at 3, 4 was answered before/,
    plant: (trio) => trio.checker.answers.readServed(trio.of(2), 3, 4),
  },
  'a read before the state has it': {
    says: /member 2: a read at 4 with 3 applied/,
    plant: (trio) => trio.checker.answers.readServed(trio.of(2), 4, 4),
  },
  'a caller that hears of a bug': {
    says: /member 2: a caller was told TypeError/,
    plant: (trio) => trio.checker.refused(trio.of(2), new TypeError('undefined')),
  },
  'more appends on their way than the window holds': {
    says: /member 1: 258 appends are on their way to 2/,
    plant: (trio) => {
      for (let index = 3; index < LIMITS.raftInflightMessagesMax + 5; index++)
        append(trio, index, '');
    },
  },
  'more bytes on their way than the window holds': {
    says: /member 1: appends of \d+ bytes are on their way to 2/,
    plant: (trio) => {
      const data = 'x'.repeat(LIMITS.raftInflightBytesMax / 4);
      for (let index = 3; index < 9; index++) append(trio, index, data);
    },
  },
  'a row that another one writes': {
    says: /member 1: loop changes service s, which is not its own/,
    plant: (trio) => trio.checker.writers.wrote(trio.of(1), 'loop', 'changes', 'service', 's'),
  },
  'a row that nobody wrote': {
    says: /member 1: entry 4 has task t, which nobody wrote/,
    plant: (trio) => {
      const change = { table: 'task', id: 't', before: undefined, after: undefined } as const;
      trio.checker.writers.applied(trio.of(1), { ...entryOf(4, 0), changes: [change] });
    },
  },
};

for (const [name, { says, plant }] of Object.entries(BREACHES)) {
  test(`seen: ${name}`, () => {
    const trio = new Trio();
    assert.deepEqual(trio.violations, [], 'nothing before it');
    plant(trio);
    assert.match(trio.violations[0] ?? 'nothing', says);
  });
}

test('a group that keeps its promises is not blamed', () => {
  const trio = new Trio();
  trio.elect(2, 2, [2, 3]);
  const entries = [{ index: 4, term: 2 }];
  trio.write(2, entries);
  trio.send(2, { type: App, to: 3, term: 2, index: 3, logTerm: 1, entries });
  trio.write(3, entries);
  trio.send(3, { type: AppResp, to: 2, term: 2, index: 4 });
  trio.receive(2, { type: AppResp, from: 3, term: 2, index: 4 });
  for (const id of [2, 3]) trio.apply(id, 4, 2, [row('a')]);
  trio.checker.loaded(trio.of(1), 4, [row('a')]);
  assert.deepEqual(trio.violations, []);
});

test('a window whose answers come, or that begins again from further back, never fills', () => {
  const trio = new Trio();
  for (let index = 3; index < 1_000; index++) {
    append(trio, index, '');
    if (index % 200 === 0) trio.receive(1, { type: AppResp, from: 2, index: index + 1 });
  }
  for (let round = 0; round < 3; round++) {
    for (let index = 801; index < 1_000; index++) append(trio, index, '');
  }
  assert.deepEqual(trio.violations, []);
});

function append(trio: Trio, index: number, data: string): void {
  const entries = [{ index: index + 1, term: 1, data: Buffer.from(data) }];
  trio.send(1, { type: App, to: 2, index, logTerm: 1, entries });
}

function row(id: string): RowChange {
  return { table: 'cluster', id, version: 4, bytes: Buffer.from(id), secret: false };
}

function entryOf(index: number, timeMs: number): AppliedEntry {
  return { index, term: 1, timeMs, changes: [] };
}
