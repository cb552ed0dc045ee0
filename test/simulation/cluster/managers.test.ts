import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Role } from '../../../proto/index.ts';
import type { Machine, World } from './machine.ts';
import { Managers } from './managers.ts';

interface Rows {
  readonly role: Role;
  readonly phase: string;
}

/** Three voters; what the second one has applied says this of the third. */
function managers(rows: Rows): { readonly managers: Managers; readonly third: Machine } {
  const tables: { readonly [table: string]: object } = {
    node: { role: rows.role },
    member: { phase: rows.phase },
  };
  const view = {
    table: (name: string) => ({ get: (id: string) => (id === 'n3' ? tables[name] : undefined) }),
  };
  const machines = [1, 2, 3].map((raftId) => ({
    raftId,
    nodeId: `n${raftId}`,
    isUp: raftId === 2,
    process: raftId === 2 ? { store: { view } } : undefined,
  })) as unknown as Machine[];
  const config = { voters: [1, 2, 3], votersOutgoing: [], learners: [], learnersNext: [] };
  const world = { checker: { history: { config } } } as unknown as World;
  return { managers: new Managers(world, machines), third: machines[2]! };
}

test('a demotion that is wished for makes the group smaller any moment', () => {
  const { managers: all, third } = managers({ role: Role.MANAGER, phase: 'voter' });
  assert.equal(all.isShrinking, false);
  all.demote(third);
  assert.equal(all.isShrinking, true);
});

test('a demotion that was taken back counts as long as one manager believes in it', () => {
  const heard = managers({ role: Role.WORKER, phase: 'voter' });
  heard.managers.demote(heard.third);
  heard.managers.want(heard.third);
  assert.equal(heard.managers.isShrinking, true);
  const begun = managers({ role: Role.MANAGER, phase: 'leaving' });
  assert.equal(begun.managers.isShrinking, true);
});
