import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { runScript } from './script.ts';

/**
 * Each `*.txt` is a script, a line of four dashes, and what it printed. UPDATE=1 records anew: read
 * the difference before you commit it.
 */
const folder = dirname(fileURLToPath(import.meta.url)).replace(/([/\\])dist\1test\1/, '$1test$1');

for (const file of readdirSync(folder)
  .filter((name) => name.endsWith('.txt'))
  .sort())
  test(`scenario ${file}`, async () => {
    const path = join(folder, file);
    const text = readFileSync(path, 'utf8');
    const [script = '', expected = ''] = text.split('\n----\n');
    const actual = `${(await runScript(script)).trimEnd()}\n`;
    if (process.env['UPDATE'] === '1') writeFileSync(path, `${script.trimEnd()}\n----\n${actual}`);
    else assert.equal(actual, expected);
  });
