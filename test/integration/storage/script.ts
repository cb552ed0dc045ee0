import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { RecordedDisk, type WritePoint } from './recorded-disk.ts';
import { type Promised, ScriptedMember } from './scripted-member.ts';

export interface Script {
  readonly points: readonly WritePoint[];
  promisedAt(at: number): Promised;
}

/** Everything that is ever written, once or twice, ended by two ordinary batches. */
export async function runScript(root: string): Promise<Script> {
  const directory = join(root, 'member');
  const copies = join(root, 'copies');
  await mkdir(copies, { recursive: true });
  const recorded = new RecordedDisk(directory, copies);
  const member = await ScriptedMember.create(directory, recorded);
  await member.open('first opening');
  await member.append('append', 2, 1);
  await member.append('append of several', 3, 5);
  await member.apply('rows', 4, 12, true);
  await member.vote(3, 2);
  await member.append('append in a new term', 8, 2);
  await member.apply('rows that ride along', 8, 12, false);
  await member.append('append with rows', 10, 1);
  await member.vote(5, 3);
  // 9 and 10 were never committed: another leader replaces them.
  await member.append('truncation', 9, 1);
  await member.append('append over several blocks', 10, 30, 4_000);
  await member.close();
  await member.open('opening with a long log');
  await member.append('many entries', 40, 3_000);
  await member.apply('many rows', 3_000, 200, true);
  await member.compact('compaction', 2_900);
  await member.append('append after compaction', 3_040, 1);
  await member.install('snapshot', 5_000, 4);
  await member.append('append after a snapshot', 5_001, 2);
  await member.apply('rows after a snapshot', 5_001, 6, true);
  await member.close();
  await member.open('opening after a snapshot');
  await member.append('last but one', 5_003, 1);
  await member.apply('rows of the last', 5_002, 2, false);
  await member.append('last', 5_004, 1);
  await member.close();
  return { points: recorded.points, promisedAt: (at) => member.promisedAt(at) };
}
