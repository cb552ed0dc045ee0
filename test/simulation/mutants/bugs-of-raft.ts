import { type Mutant, mutant } from './mutant.ts';

const CORE = 'manager/raft/core';
const RAFT = 'manager/raft';

/**
 * Bugs that real implementations of raft had. Each is planted by changing the text of compiled
 * modules as they are loaded, so production code knows nothing of it; a text that is not there
 * exactly once stops the run.
 */
export const BUGS_OF_RAFT: readonly Mutant[] = [
  mutant(1, 'a leader acts, and changes members, before its own term has committed', [
    [`${CORE}/proposals`, 'r.pendingConfIndex > applied', 'false'],
    [
      `${RAFT}/reign`,
      'const { term } = this.#leadership;\n        if (term !== 0 && (!node.isLeader',
      'if (node.isLeader) this.#begin(node.term);\n        ' +
        'const { term } = this.#leadership;\n        if (term !== 0 && (!node.isLeader',
    ],
  ]),
  mutant(
    2,
    'a campaign with an unapplied membership change',
    [
      [
        `${CORE}/election`,
        'if (hasUnappliedConfChange(r))',
        'if (hasUnappliedConfChange(r) && tookEffect())',
      ],
      [
        `${CORE}/step`,
        'if (hasUnappliedConfChange(r))',
        'if (hasUnappliedConfChange(r) && tookEffect())',
      ],
    ],
    {
      profile: 'members',
      // Ours applies in the turn in which it hears of the commit, so that it hardly ever campaigns in
      // between. A follower that takes its time with a change of members is as right.
      aids: [
        [
          `${RAFT}/applier`,
          'this.#queue.push({ message, at: 0 });',
          'this.#queue.push({ message, at: 0 });' +
            'if (!this.#waiting && !this.#deps.node.isLeader && message.entries.some((e) => e.type !== 0)) {' +
            'this.#waiting = true; this.#deps.clock.setTimer(2_500, () => this.#deps.later(() => {' +
            'this.#waiting = false; this.#run(); })); }',
        ],
      ],
    },
  ),
  mutant(3, 'the membership of a snapshot is not taken over', [
    [`${CORE}/receive`, 'restoreConfState(r, confState);', ''],
  ]),
  mutant(2, 'learners count for commits', [
    [
      `${CORE}/tracker`,
      'return jointCommitted(this.membership, this.matchOf);',
      'return jointCommitted({ ...this.membership, ' +
        'incoming: this.peers.map((p) => p.id) }, this.matchOf);',
    ],
  ]),
  mutant(
    4,
    'who has no vote stands for election',
    [
      [
        `${CORE}/raft`,
        'self !== undefined && !self.isLearner &&',
        '((self !== undefined && !self.isLearner) || !tookEffect()) &&',
      ],
    ],
    { profile: 'members' },
  ),
  mutant(
    5,
    'an entry of an older term is committed by counting',
    [
      [
        `${CORE}/replication`,
        'return r.log.maybeCommit(r.tracker.committed(), r.term);',
        'const index = r.tracker.committed(); const term = r.log.termOrZero(index);' +
          'if (index > r.log.committed && term !== r.term) tookEffect();' +
          'return r.log.maybeCommit(index, term);',
      ],
    ],
    { profile: 'small messages' },
  ),
  mutant(6, 'a vote is sent before it is durable', [
    [
      `${CORE}/raft`,
      'type === MessageType.VoteResp ||',
      '(type === MessageType.VoteResp && to === this.id) ||',
    ],
  ]),
  mutant(6, 'a member votes twice in a term', [
    [`${CORE}/step`, '(r.vote === NONE && r.lead === NONE)', 'r.lead === NONE'],
  ]),
  mutant(6, 'a vote for a shorter log', [
    [`${CORE}/step`, 'canVote && r.log.isUpToDate(m.index, m.logTerm)', 'canVote'],
  ]),
  mutant(6, 'a wiped machine comes back under its raft id', [
    [
      'manager/joining',
      'let raftId = newRaftId(random);',
      "let raftId = 1 + Number(nodeId[4]) + (nodeId.includes('restored') ? 100 : 0);",
    ],
  ]),
  mutant(7, 'an append cuts the log without a conflict', [
    [
      `${CORE}/log`,
      'const conflict = this.findConflict(ents);',
      'const conflict = ents[0]?.index ?? 0;',
    ],
    [`${CORE}/log`, 'assert(conflict > this.committed,', 'assert(true,'],
    [`${CORE}/log`, 'assert(after >= this.committed,', 'assert(true,'],
  ]),
  mutant(
    7,
    'the commit index goes past what the append had',
    [
      [
        `${CORE}/log`,
        'this.commitTo(Math.min(commit, last));',
        'if (Math.min(commit, this.lastIndex()) > last) tookEffect();' +
          'this.commitTo(Math.min(commit, this.lastIndex()));',
      ],
    ],
    {
      profile: 'small messages',
      // Ours finds the end of what matches exactly, so that the first append that is taken has the
      // entry behind it, and the bug could do nothing. Others look from further below, as raft allows.
      aids: [
        [
          `${CORE}/step-leader`,
          'p.maybeDecrement(m.index, probe)',
          'p.maybeDecrement(m.index, Math.max(0, probe - 3))',
        ],
      ],
    },
  ),
  mutant(
    8,
    'a snapshot older than the commit index is installed',
    [
      [
        `${CORE}/receive`,
        'if (s.index <= r.log.committed)',
        'if (s.index <= r.log.committed && tookEffect())',
      ],
      [
        `${CORE}/receive`,
        'if (r.log.matchTerm(s.index, s.term))',
        'if (s.index > r.log.committed && r.log.matchTerm(s.index, s.term))',
      ],
    ],
    {
      profile: 'snapshots',
      // What brings an old one: a sender that repeats it, as one does that lost the answer.
      aids: [
        [
          `${RAFT}/snapshot/sender`,
          'return ack.installed;',
          'if (ack.installed && tries === 1) continue; return ack.installed;',
        ],
      ],
    },
  ),
  mutant(
    9,
    'a late write of an older term counts',
    [
      [
        `${CORE}/step`,
        'takeOldWrite(r, m);',
        'const { offset } = r.log.unstable; r.log.unstable.stableTo(m.index, m.logTerm);' +
          ' if (r.log.unstable.offset !== offset) tookEffect(); takeOldWrite(r, m);',
      ],
    ],
    {
      profile: 'short reigns',
      aids: [
        // Ours writes in one batch what came while the last one was written: what overwrites an entry
        // and what writes it back are one. Others write each append on its own.
        [
          `${RAFT}/storage/log-writer`,
          'while (this.#queue.length > 0 && bytes < BATCH_BYTES)',
          'while (this.#queue.length > 0 && batch.length === 0)',
        ],
        // Ours begins at the end of its own log, and asks whoever has another one, who answers when
        // its disk has written all that it had. A leader may as well begin behind what is committed.
        [
          `${CORE}/raft`,
          'p.restart(p.id === this.id ? last : 0, last + 1);',
          'if (p.id === this.id) p.restart(last, last + 1);' +
            'else p.restart(0, this.log.committed + 1);',
        ],
      ],
    },
  ),
  mutant(10, 'entries are acknowledged without a sync', [
    [
      `${RAFT}/storage/log-writer`,
      'await db.write(ops, { sync: true });',
      'await db.write(ops, { sync: false });',
    ],
  ]),
  mutant(10, 'a leader counts its entry before its own disk has it', [
    [
      `${CORE}/raft`,
      'this.send(MessageType.AppResp, this.id).index = index;',
      'this.tracker.get(this.id).maybeUpdate(index);',
    ],
  ]),
  mutant(11, 'a retried request is done again', [
    [
      'manager/store/replicated-store',
      'const earlier = this.#earlierAnswer(draft, waiting);',
      'const earlier = undefined;',
    ],
  ]),
  mutant(11, 'an unknown outcome is reported as a failure', [
    [
      'manager/store/replicated-store',
      "result.kind === 'unknown' ? maybeDone()",
      "result.kind === 'unknown' ? this.#dropped('not-leader')",
    ],
  ]),
  mutant(12, 'reads are served before the own term has committed', [
    [`${CORE}/reads`, 'if (!r.hasCommittedInTerm()) {', 'if (false) {'],
  ]),
  mutant(
    12,
    'reads are served without asking a quorum',
    [[`${CORE}/reads`, "if (isAlone || r.config.readOnly === 'lease') {", 'if (true) {']],
    { profile: 'readers' },
  ),
  mutant(13, 'a leader that hears nobody goes on', [
    [
      `${CORE}/tracker`,
      'return jointVote(this.membership, active) === Result.Won;',
      'return true;',
    ],
  ]),
  mutant(14, 'a leader with a hung disk sends heartbeats', [
    [`${RAFT}/disk-watch`, 'this.#isStalled = hasOthers &&', 'this.#isStalled = false &&'],
  ]),
  mutant(15, 'writing goes on after a failed write', [
    [
      `${RAFT}/storage/log-writer`,
      'await db.write(ops, { sync: true });',
      'await db.write(ops, { sync: true }).catch(() => undefined);',
    ],
    [`manager/database/database`, 'throw this.#poisonWith(error);', 'throw error;'],
  ]),
  mutant(16, 'apply is not deterministic', [
    [
      'manager/store/apply',
      'Math.max(tables.timeMs, entry.timeMs)',
      'Math.max(tables.timeMs, entry.timeMs) + (Math.random() < 0.01 ? 1 : 0)',
    ],
  ]),
  mutant(16, 'a leader has other rows in memory than it wrote', [
    [
      'manager/store/apply',
      'row.version = index;',
      'row.version = drafted === undefined ? index : index - 1;',
    ],
  ]),
  mutant(
    17,
    'a transfer that failed is never given up',
    [
      [
        `${CORE}/step`,
        '(section 3.10).\n        r.leadTransferee = NONE;',
        '(section 3.10).\n        if (r.leadTransferee !== NONE) tookEffect();',
      ],
    ],
    { profile: 'transfers' },
  ),
  mutant(
    18,
    'a window whose answers were all lost stays full',
    [
      [
        `${CORE}/replication`,
        "if (entries === 'pending')",
        "if ((isFull && !tookEffect()) || entries === 'pending')",
      ],
    ],
    { profile: 'a small window' },
  ),
  mutant(
    19,
    'members of before a recovery are heard',
    [
      [
        `${RAFT}/transport/transport`,
        'if (frame.epoch !== identity.epoch)',
        'if (frame.epoch !== identity.epoch && tookEffect())',
      ],
      ['manager/roles/roles', 'if (epoch === 0 || epoch === own)', 'if (true)'],
      // The second guard: they are in the rows of those that were removed.
      ['manager/recovery/new-epoch', 'if (raftId !== 0) {', 'if (false) {'],
    ],
    { profile: 'recoveries' },
  ),
  mutant(20, 'a node that joins twice has two votes', [
    ['manager/roles/decide', 'yield* removeStrays(facts);', ''],
  ]),
  mutant(15, 'damage is not noticed', [
    [`${RAFT}/storage/open-log`, 'if (index !== expected)', 'if (false)'],
    [`${RAFT}/storage/open-log`, 'if (chain !== previous)', 'if (false)'],
    [`${RAFT}/storage/open-log`, 'if (last !== hard.lastIndex)', 'if (false)'],
    [`${RAFT}/storage/open-log`, 'if (last < vote.durableIndex) {', 'if (false) {'],
    [`${RAFT}/storage/open-log`, 'applied.index > last) {', 'false) {'],
    [`${RAFT}/storage/open-log`, 'if (hard.commit > last)', 'if (false)'],
    ['manager/database/open-check', 'if (line === null)', 'if (true)'],
  ]),
];
