import { dirname } from 'node:path';
import { SwarmError } from '../../shared/errors.ts';
import type { Random } from '../../shared/random.ts';
import type { Disk } from './disk.ts';
import type { DataKeys } from './seal.ts';

const FIRST_LINE = 'swarm-data-keys-1';

/** Makes the file (0600) with one new key. For the making of a state directory only. */
export async function createDataKeys(path: string, disk: Disk, random: Random): Promise<DataKeys> {
  const key = random.bytes(32);
  const text = `${FIRST_LINE}\n1 ${Buffer.from(key).toString('base64')}\n`;
  await disk.overwrite(path, Buffer.from(text));
  await disk.syncDirectory(dirname(path));
  return { current: 1, keys: new Map([[1, key]]) };
}

/** Rejects with DAMAGED: without its data key nothing of a manager's state can be read. */
export async function readDataKeys(path: string, disk: Disk): Promise<DataKeys> {
  const bytes = await disk.readFile(path);
  if (bytes === undefined) throw new SwarmError('DAMAGED', `the data key file ${path} is missing`);
  const [first, ...lines] = Buffer.from(bytes).toString('latin1').split('\n');
  const keys = new Map<number, Uint8Array>();
  for (const line of lines) {
    const [id, text] = line.split(' ');
    if (id === '' || text === undefined) continue;
    keys.set(Number(id), Buffer.from(text, 'base64'));
  }
  const sound = [...keys].every(([id, key]) => id >= 1 && id <= 255 && key.length === 32);
  if (first !== FIRST_LINE || keys.size === 0 || !sound) {
    throw new SwarmError('DAMAGED', `the data key file ${path} is not one`);
  }
  return { current: Math.max(...keys.keys()), keys };
}
