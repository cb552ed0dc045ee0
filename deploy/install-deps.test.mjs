import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const SCRIPT = join(dirname(fileURLToPath(import.meta.url)), 'install-deps');
/** What it looks for on a machine, by name. */
const PROGRAMS =
  'containerd containerd-shim-runc-v2 runc ip nft nsenter unshare flock setpriv conntrack iptables tini-static wg';

const made = [];
after(() => {
  for (const path of made) rmSync(path, { recursive: true });
});

/** Runs it on a machine whose programs do nothing but write down how they were called. */
function run({ programs, aptCode = 0, uid = 0, words = [], socket = '/none.sock' }) {
  const directory = mkdtempSync(join(tmpdir(), 'swarm-deps-'));
  made.push(directory);
  const calls = join(directory, 'calls');
  const program = (name, text) =>
    writeFileSync(join(directory, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  program('id', `echo ${uid}`);
  for (const name of programs) program(name, 'exit 0');
  program('apt-get', `echo "$*" >>${calls}; [ "$1" = update ] || exit ${aptCode}`);
  const env = { PATH: directory, CONTAINERD_ADDRESS: socket };
  const done = spawnSync('/bin/sh', [SCRIPT, ...words], { env, encoding: 'utf8' });
  return { ...done, calls: existsSync(calls) ? readFileSync(calls, 'utf8') : '' };
}

test('what is there counts, whoever shipped it, and then nothing is touched', () => {
  const ran = run({ programs: PROGRAMS.split(' ') });
  assert.equal(ran.status, 0, ran.stderr);
  assert.equal(ran.stdout, 'Every program that containers need is there.\n');
  assert.equal(ran.calls, '');
});

test('a containerd that listens counts, whoever shipped it and wherever its programs are', async () => {
  const programs = PROGRAMS.split(' ').filter((name) => !/containerd|runc/.test(name));
  const directory = mkdtempSync(join(tmpdir(), 'swarm-deps-'));
  made.push(directory);
  const socket = join(directory, 'c.sock');
  const server = createServer().listen(socket);
  await once(server, 'listening');
  assert.equal(run({ programs, socket }).calls, '');
  // The tests start one of their own.
  assert.match(run({ programs, socket, words: ['--test'] }).calls, / containerd /);
  server.close();
  await once(server, 'close');
  assert.match(run({ programs, socket }).calls, / containerd\b/);
});

test('only what is missing is installed, said before, and nothing is ever removed', () => {
  const programs = PROGRAMS.split(' ').filter((name) => !/^(containerd.*|tini-static)$/.test(name));
  const ran = run({ programs });
  assert.equal(ran.status, 0, ran.stderr);
  assert.equal(ran.stdout, "Installing from this machine's package sources: containerd tini\n");
  const [update, install] = ran.calls.trim().split('\n');
  assert.match(update, /^update/);
  assert.match(install, /^install .*--no-remove.* containerd tini$/);
});

test('where something would have to be removed it stops with the reason', () => {
  const programs = PROGRAMS.split(' ').filter((name) => name !== 'tini-static');
  const ran = run({ programs, aptCode: 100 });
  assert.equal(ran.status, 1);
  assert.match(ran.stderr, /^Error: apt-get could not install: tini \(it may not remove anything/m);
});

test('who may not install is told what is missing', () => {
  const programs = PROGRAMS.split(' ').filter((name) => name !== 'tini-static');
  const ran = run({ programs, uid: 1000 });
  assert.equal(ran.status, 1);
  assert.equal(ran.stderr, 'Error: missing: tini; installing them needs root\n');
  assert.equal(run({ programs, words: ['--nonsense'] }).status, 1);
});
