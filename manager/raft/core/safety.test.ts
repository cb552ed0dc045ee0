/**
 * Random schedules over a small cluster: messages are lost, doubled and reordered, members crash
 * and lose what was not written, memberships change, logs are cut. After every step the promises
 * of the dissertation's figure 3.2 are checked. `RAFT_SEED=n` repeats one schedule.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Options } from './cluster.fixture.ts';
import { Member, seeded, voters } from './cluster.fixture.ts';
import type { ConfChangeSingle, Entry, Message } from './types.ts';
import { type ConfChangeTransition, ConfChangeType, EMPTY_CONF_STATE, NO_BYTES } from './types.ts';

interface PendingRead {
  readonly key: string;
  /** Highest index committed anywhere when the read was asked for. */
  readonly committed: number;
}

class World {
  readonly random: (n: number) => number;
  readonly members: Member[] = [];
  readonly wire: Message[] = [];
  readonly cut = new Set<number>();
  readonly counts = { leaders: 0, committed: 0, crashes: 0, reads: 0, snapshots: 0, changes: 0 };
  private readonly leaders = new Map<number, number>();
  private readonly votes = new Map<string, number>();
  private readonly committed = new Map<number, Entry>();
  private readonly reads = new Map<string, PendingRead>();
  private highest = 1;
  private serial = 0;

  /** Usual weights; each schedule has its own, some far off, so that rare things get together. */
  private readonly actions: readonly [weight: number, (m: Member) => void][] = [
    [50, (m) => m.raw.tick()],
    [250, (m) => this.collect(m)],
    [150, (m) => m.writeOne()],
    [100, (m) => m.applyOne()],
    [220, () => this.deliver()],
    [40, (m) => this.propose(m)],
    [10, (m) => this.read(m)],
    [5, (m) => this.changeMembership(m)],
    [5, (m) => m.raw.transferLeader(1 + this.random(this.members.length))],
    [15, (m) => m.compact(m.storage.applied - this.random(4))],
    [3, (m) => m.raw.reportUnreachable(1 + this.random(this.members.length))],
    [3, (m) => this.reportSnapshots(m)],
    [1, (m) => this.crash(m)],
    [3, (m) => this.toggle(m.id)],
    [3, (m) => m.raw.forgetLeader()],
    [3, (m) => m.raw.campaign()],
  ];
  private weights: readonly number[] = [];
  private weightSum = 0;
  private lossPercent = 0;
  private doublePercent = 0;
  /** One in so many deliveries takes any message instead of the oldest. */
  private reorder = 1;
  /** The others stand still: nothing of theirs is written, applied or answered. */
  private awake: Member[] = [];
  private phaseEnd = 0;

  constructor(seed: number) {
    this.random = seeded(seed);
    const options: Options = {
      random: this.random,
      electionTicks: 10,
      heartbeatTicks: 2,
      preVote: this.random(4) > 0,
      checkQuorum: this.random(4) > 0,
      maxSizePerMsg: [0, 64, 1 << 20][this.random(3)]!,
      maxCommittedSizePerReady: [1, 200, 1 << 20][this.random(3)]!,
      maxInflightMsgs: 1 + this.random(4),
      stepDownOnRemoval: this.random(2) > 0,
    };
    const start = voters(1, 2, 3);
    for (let id = 1; id <= 3; id++) this.members.push(new Member(id, start, options));
    for (let id = 4; id <= 5; id++) this.members.push(new Member(id, EMPTY_CONF_STATE, options));
  }

  run(steps: number): void {
    for (let i = 0; i < steps; i++) {
      if (i === this.phaseEnd) this.newPhase(i);
      this.act();
      for (const m of this.members) this.observe(m);
    }
    this.checkLogs();
  }

  /** For a while the world has its own habits: who is cut off, who sleeps, what is frequent. */
  private newPhase(now: number): void {
    this.phaseEnd = now + [20, 50, 100, 200, 400, 800][this.random(6)]!;
    const factors = [1, 2, 4, 4, 4, 8, 16];
    this.weights = this.actions.map(([weight], i) =>
      i > 4 && this.random(4) === 0 ? 0 : weight * factors[this.random(factors.length)]!,
    );
    this.weightSum = this.weights.reduce((a, b) => a + b);
    this.lossPercent = [0, 0, 2, 20][this.random(4)]!;
    this.doublePercent = [0, 0, 10][this.random(3)]!;
    this.reorder = [2, 4, 20, 100][this.random(4)]!;
    this.cut.clear();
    for (const m of this.members) if (this.random(6) === 0) this.cut.add(m.id);
    this.awake = this.members.filter(() => this.random(8) > 0);
    if (this.awake.length === 0) this.awake = this.members;
  }

  private pick(): Member {
    return this.awake[this.random(this.awake.length)]!;
  }

  private act(): void {
    let dice = this.random(this.weightSum);
    for (const [i, weight] of this.weights.entries()) {
      dice -= weight;
      if (dice < 0) {
        this.actions[i]![1](this.pick());
        return;
      }
    }
  }

  private collect(m: Member): void {
    m.takeReady();
    this.wire.push(...m.outbox.splice(0));
    if (this.wire.length > 100) this.wire.splice(0, 50);
    for (const r of m.reads.splice(0))
      this.checkRead(m, String.fromCharCode(...r.context), r.index);
  }

  private deliver(): void {
    if (this.wire.length === 0) return;
    const at = this.random(this.reorder) === 0 ? this.random(this.wire.length) : 0;
    const m = this.wire[at]!;
    if (this.random(100) >= this.doublePercent) this.wire.splice(at, 1);
    // What is cut off is mostly late rather than lost: it comes when nobody expects it.
    if (this.cut.has(m.from) !== this.cut.has(m.to)) {
      if (this.random(2) === 0) this.wire.push(m);
      return;
    }
    if (this.random(100) < this.lossPercent) return;
    if (m.snapshot !== null) this.counts.snapshots++;
    const to = this.members[m.to - 1]!;
    if (this.awake.includes(to)) to.raw.step(m);
    else if (this.wire.length < 80) this.wire.push(m);
  }

  private propose(m: Member): void {
    const data = Uint8Array.from(`p${++this.serial}`, (c) => c.charCodeAt(0));
    m.raw.propose(data, m.raw.term);
  }

  private read(m: Member): void {
    const key = `r${++this.serial}`;
    this.reads.set(key, { key, committed: this.highest });
    m.raw.readIndex(Uint8Array.from(key, (c) => c.charCodeAt(0)));
  }

  private checkRead(m: Member, key: string, index: number): void {
    const read = this.reads.get(key);
    assert(read !== undefined, `${m.id} answers a read that nobody asked`);
    assert(index >= read.committed, `read ${key} got ${index}, below ${read.committed}`);
    this.counts.reads++;
  }

  private changeMembership(m: Member): void {
    const types = [ConfChangeType.AddNode, ConfChangeType.AddLearner, ConfChangeType.RemoveNode];
    const changes: ConfChangeSingle[] = [];
    for (let i = this.random(4); i > 0; i--) {
      changes.push({ type: types[this.random(3)]!, nodeId: 1 + this.random(this.members.length) });
    }
    const transition = this.random(3) as ConfChangeTransition;
    const change = { transition, changes, context: NO_BYTES };
    if (m.raw.proposeConfChange(change, m.raw.term).ok) this.counts.changes++;
  }

  private reportSnapshots(m: Member): void {
    for (const p of m.raw.status().progress) m.raw.reportSnapshot(p.id, this.random(2) > 0);
  }

  private crash(m: Member): void {
    m.crash();
    this.counts.crashes++;
  }

  private toggle(id: number): void {
    if (!this.cut.delete(id) && this.cut.size < 2) this.cut.add(id);
  }

  private observe(m: Member): void {
    const { raw, storage, id } = m;
    if (raw.isLeader && this.leaders.get(raw.term) !== id) {
      assert(!this.leaders.has(raw.term), `two leaders in term ${raw.term}`);
      this.leaders.set(raw.term, id);
      this.counts.leaders++;
    }
    const { term, vote } = storage.initialState().hardState;
    if (vote !== 0) {
      const key = `${term}/${id}`;
      assert.equal(this.votes.get(key) ?? vote, vote, `${id} voted twice in term ${term}`);
      this.votes.set(key, vote);
    }
    assert(storage.applied >= raw.applied, `${id} says that more is applied than is`);
    for (let i = storage.applied; i > 1; i--) {
      const e = m.state.get(i);
      if (e === undefined || this.committed.get(i) === e) break;
      this.checkCommitted(id, e);
    }
    this.highest = Math.max(this.highest, raw.committed);
  }

  private checkCommitted(id: number, e: Entry): void {
    const known = this.committed.get(e.index);
    if (known === undefined) {
      this.committed.set(e.index, e);
      this.counts.committed++;
      return;
    }
    assert.equal(known.term, e.term, `${id} applied another entry at ${e.index}`);
    assert.deepEqual(known.data, e.data, `${id} applied other data at ${e.index}`);
  }

  /** Log matching: the same index and term, the same entry and the same before it. */
  private checkLogs(): void {
    for (const a of this.members) {
      for (const b of this.members) {
        if (a.id < b.id) checkMatch(a, b);
      }
    }
  }
}

function checkMatch(a: Member, b: Member): void {
  const theirs = new Map(b.log().map((e) => [e.index, e]));
  let isSame = false;
  for (const e of [...a.log()].reverse()) {
    const other = theirs.get(e.index);
    if (other === undefined) continue;
    if (e.term === other.term) {
      assert.deepEqual(e.data, other.data, `${a.id} and ${b.id} differ at ${e.index}`);
      isSame = true;
    }
    assert(!isSame || e.term === other.term, `${a.id} and ${b.id} part below ${e.index}`);
  }
}

test('no schedule breaks a promise of raft', () => {
  const one = process.env['RAFT_SEED'];
  const seeds = one === undefined ? Array.from({ length: 300 }, (_, i) => i) : [Number(one)];
  const total: Record<string, number> = {};
  for (const seed of seeds) {
    const world = new World(seed);
    try {
      world.run(6000);
    } catch (cause) {
      throw new Error(`RAFT_SEED=${seed} repeats this: ${String(cause)}`, { cause });
    }
    for (const [k, v] of Object.entries(world.counts)) total[k] = (total[k] ?? 0) + v;
  }
  if (one !== undefined) return;
  // A schedule in which nothing happens proves nothing.
  for (const [what, count] of Object.entries(total)) assert(count > 100, `only ${count} ${what}`);
});
