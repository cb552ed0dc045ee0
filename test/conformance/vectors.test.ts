/** The published scripts of etcd's raft against our core. They stay where they are: see DESIGN. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { findScripts, runScript } from './vectors/run.ts';

const vectors = process.env['SWARM_VECTORS'] ?? '';

if (vectors === '') {
  test('etcd raft scripts hold', { skip: 'SWARM_VECTORS is not set' }, () => {});
} else {
  const directory = join(vectors, 'etcd-raft');
  const scripts = findScripts(directory);

  test('all 41 published scripts are there', () => {
    assert.equal(scripts.length, 41);
  });

  for (const path of scripts) {
    test(`the script ${path.slice(directory.length + 1)} holds byte for byte`, () => {
      assert.equal(runScript(path), '');
    });
  }
}
