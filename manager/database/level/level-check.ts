import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SwarmError } from '../../../shared/errors.ts';
import { scanLog } from './log-file.ts';
import { Manifest } from './manifest.ts';
import { isSoundTable } from './table-file.ts';

/**
 * Looks at every byte that LevelDB is about to trust: the MANIFEST, the tables that it names, the
 * logs that are not in tables yet. LevelDB itself opens most damaged files without a word, and what
 * it drops at its opening is gone for good. Rejects with DAMAGED. A folder without files passes: a
 * database is about to be made there.
 */
export async function checkLevel(directory: string): Promise<void> {
  const names = await readdir(directory).catch(() => []);
  const numbered = new Map<string, string>();
  for (const name of names) numbered.set(name.replace(/^0+/, ''), name);
  if (names.length === 0) return;
  const manifest = await readManifest(directory);
  for (const [number, bytes] of manifest.tables) {
    const name = numbered.get(`${number}.ldb`) ?? numbered.get(`${number}.sst`);
    const file = name && (await readFile(join(directory, name)));
    if (!file) throw damaged(`table ${number} is missing`);
    if (file.length !== bytes || !isSoundTable(file)) throw damaged(`${name} is not as written`);
  }
  await checkLogs(directory, names, manifest);
}

async function readManifest(directory: string): Promise<Manifest> {
  const current = await readFile(join(directory, 'CURRENT'), 'latin1').catch(absent);
  const name = current === undefined ? undefined : /^(MANIFEST-\d+)\n$/.exec(current)?.[1];
  if (name === undefined) throw damaged('CURRENT names no MANIFEST');
  const bytes = await readFile(join(directory, name)).catch(absent);
  if (bytes === undefined) throw damaged(`${name} is missing`);
  const manifest = new Manifest();
  try {
    if (scanLog(bytes, (record) => manifest.add(record)) !== 'damaged') return manifest;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
  }
  throw damaged(`${name} is not as written`);
}

/** Only the newest log may be torn: each write was durable before the next log was begun. */
async function checkLogs(
  directory: string,
  names: readonly string[],
  { logNumber, previousLogNumber }: Manifest,
): Promise<void> {
  const logs = names
    .filter((name) => /^\d+\.log$/.test(name))
    .map((name) => ({ name, number: Number.parseInt(name, 10) }))
    .filter(({ number }) => number >= logNumber || number === previousLogNumber)
    .sort((a, b) => a.number - b.number);
  if (logs[0]?.number !== (previousLogNumber || logNumber)) {
    throw damaged(`log ${logNumber} is missing`);
  }
  for (const [at, { name }] of logs.entries()) {
    const end = scanLog(await readFile(join(directory, name)));
    const isNewest = at === logs.length - 1;
    if (end === 'damaged' || (end === 'torn' && !isNewest)) {
      throw damaged(`${name} is not as written`);
    }
  }
}

function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
  return undefined;
}

function damaged(what: string): SwarmError {
  return new SwarmError('DAMAGED', `the state database is damaged: ${what}`);
}
