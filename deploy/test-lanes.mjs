// Tests of real daemons wait more than they compute, and take addresses and ports that can be taken
// once. Root runs two files at a time, each in a network namespace of its own, where it has all of
// loopback to itself; what a file leaves running there is ended. Anybody else runs one after the other.
import { spawn, spawnSync } from 'node:child_process';
import { readdirSync, readlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runFiles } from './test-run.mjs';

const LANES = 2;
const IN_LANE = join(dirname(fileURLToPath(import.meta.url)), 'test-lane.mjs');
/** These install packages, and a namespace of its own has no way out. */
const NEED_WAY_OUT = /\/integration\/clone\//;
/** These load the machine with requests until it is full. */
const NEED_MACHINE =
  /\/integration\/(consensus|storage|services\/(zero-loss|foreign)|network\/zero-loss)/;

/** As `runFiles`. Resolves to what each file took: `{file, seconds}`. */
export async function runInLanes(root, files, seen) {
  const took = [];
  const timed = (work) => async (file) => {
    const startMs = performance.now();
    await work(root, file, seen);
    took.push({ file, seconds: (performance.now() - startMs) / 1000 });
  };
  const mayIsolate = canIsolate();
  const outside = files.filter((file) => !mayIsolate || NEED_WAY_OUT.test(file));
  const inside = files.filter((file) => !outside.includes(file));
  const single = inside.filter((file) => NEED_MACHINE.test(file));
  const shared = inside.filter((file) => !single.includes(file));
  await drain(shared, LANES, timed(isolated));
  await drain(single, 1, timed(isolated));
  await drain(outside, 1, timed(onMachine));
  return took;
}

function onMachine(root, file, seen) {
  return runFiles(root, [file], { concurrency: 1 }, seen);
}

/** Gives the next of `queue` to whichever of `width` is free. */
function drain(queue, width, work) {
  const one = async () => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) await work(next);
  };
  return Promise.all(Array.from({ length: width }, one));
}

function canIsolate() {
  return process.getuid?.() === 0 && spawnSync('unshare', ['--net', 'true']).status === 0;
}

function isolated(root, file, seen) {
  const script = 'ip link set lo up && exec "$@"';
  const command = ['--net', 'sh', '-c', script, 'sh', process.execPath, IN_LANE, root, file];
  const child = spawn('unshare', command, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  let namespace;
  child.on('message', (message) => {
    if (message.namespace !== undefined) namespace = message.namespace;
    else seen(message);
  });
  return new Promise((done, fail) => {
    child.on('error', fail);
    // What it told last may come after its end: the channel closes behind it.
    const told = new Promise((resolve) => child.once('disconnect', resolve));
    child.on('exit', async (code, signal) => {
      await told;
      if (code !== 0)
        seen({ kind: 'failed', text: `\nFAILED ${file}: its process ended (${code ?? signal})\n` });
      endAllOf(namespace);
      done();
    });
  });
}

/** The namespace was made for one file: whoever is still in it was started by that file. */
function endAllOf(namespace) {
  if (namespace === undefined || namespace === readlinkSync('/proc/self/ns/net')) return;
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      if (readlinkSync(`/proc/${pid}/ns/net`) === namespace) process.kill(Number(pid), 'SIGKILL');
    } catch {
      // It has ended meanwhile.
    }
  }
}
