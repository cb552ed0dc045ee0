import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { removeOrphans } from './orphans.mjs';

test('what was compiled goes with its source, and nothing else does', () => {
  const root = mkdtempSync(join(tmpdir(), 'orphans-'));
  try {
    const kept = ['bundle/swarm.js', 'a/typed.d.ts', 'a/typed.js', 'a/plain.js', 'a/data.json'];
    const gone = ['a/moved.js', 'a/moved.js.map', 'a/moved.d.ts'];
    const sources = ['a/typed.ts', 'a/plain.js'];
    for (const path of [...[...kept, ...gone].map((each) => `dist/${each}`), ...sources]) {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), '');
    }
    removeOrphans(root);
    const left = readdirSync(join(root, 'dist'), { recursive: true }).filter((p) => /\./.test(p));
    assert.deepEqual(left.sort(), kept.sort());
  } finally {
    rmSync(root, { recursive: true });
  }
});
