/**
 * For open-log.test.ts, as a process of its own: flips one bit here and there in a member's
 * database and says for each whether it was found. Arguments: folder, how many to skip.
 */
import { deepEqual } from 'node:assert/strict';
import { cp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SwarmError } from '../../shared/errors.ts';
import { type Content, inspect } from './test-inspect.ts';

const STEP = 113;
const [source, skip] = process.argv.slice(2) as [string, string];
const work = `${source}-flipped`;
const whole = await inspect(await freshCopy());
let left = Number(skip);

const names = await readdir(join(source, 'db'));
for (const file of names.filter((name) => /\.(log|ldb)$|^MANIFEST/.test(name)).sort()) {
  const bytes = await readFile(join(source, 'db', file));
  for (let at = 5; at < bytes.length; at += STEP) {
    if (left-- > 0) continue;
    process.stdout.write(`${file} ${at}`);
    await freshCopy();
    const changed = Buffer.from(bytes);
    changed[at]! ^= 1 << (at % 8);
    await writeFile(join(work, 'db', file), changed);
    process.stdout.write(` ${await outcome(whole)}\n`);
  }
}
await rm(work, { recursive: true, force: true });

async function freshCopy(): Promise<string> {
  await rm(work, { recursive: true, force: true });
  await cp(source, work, { recursive: true });
  return work;
}

async function outcome(expected: Content): Promise<string> {
  let content: Content;
  try {
    content = await inspect(work);
  } catch (error) {
    return SwarmError.is(error) ? 'damaged' : `${error}`;
  }
  try {
    deepEqual(content, expected);
    return 'unchanged';
  } catch {
    return 'silent';
  }
}
