// `npm run up`, `npm run down`, `npm test`, `npm run build`: plain JavaScript without dependencies, so
// that it can check Node.js and the platform, and install and build what it then runs.
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { removeOrphans } from './orphans.mjs';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');
const NODE_MIN = [20, 19];

class Stop extends Error {}

async function main(task, args) {
  checkPlatform();
  if (task === 'install') return install();
  install();
  if (task === 'build') return build([]);
  if (task === 'up') {
    build(['daemon', 'cli']);
    return swarm(['__up', ...args]);
  }
  if (task === 'down') {
    build(['daemon', 'cli']);
    return swarm(['__down', ...args]);
  }
  if (task === 'test') {
    build([]);
    const { runTests } = await import('./test.mjs');
    return runTests(ROOT, args);
  }
  if (task === 'package') {
    build([]);
    const { makePackage } = await import('./package.mjs');
    return makePackage(ROOT, args);
  }
  throw new Stop(`There is no task "${task}", only up, down, test, build, package and install.`);
}

function checkPlatform() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < NODE_MIN[0] || (major === NODE_MIN[0] && minor < NODE_MIN[1])) {
    throw new Stop(
      `swarm needs Node.js ${NODE_MIN.join('.')} or newer, this is ${process.versions.node}.\n` +
        'Install a newer one (https://nodejs.org) and run this again.',
    );
  }
  if (process.platform !== 'linux') {
    const wsl = process.platform === 'win32' ? 'In Windows, WSL2 has one: wsl --install' : '';
    throw new Stop(
      `swarm runs on Linux; this is ${process.platform}.\n` +
        (wsl || 'A Linux machine or virtual machine runs it.'),
    );
  }
  if (process.arch !== 'x64' && process.arch !== 'arm64') {
    throw new Stop(`swarm runs on x64 and arm64; this machine is ${process.arch}.`);
  }
}

/** Installs what package-lock.json names, when that differs from what was installed here last. */
function install() {
  const lock = join(ROOT, 'package-lock.json');
  const stamp = join(ROOT, 'node_modules', '.swarm-lock');
  const digest = createHash('sha256').update(readFileSync(lock)).digest('hex');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8').trim() === digest) return;
  say('Installing packages...');
  // Install scripts stay off: nothing here needs one. --include=dev: also where NODE_ENV says no.
  const args = ['ci', '--include=dev', '--ignore-scripts', '--no-audit', '--no-fund'];
  run(...npm(args), 'The packages could not be installed: see npm above.');
  writeFileSync(stamp, `${digest}\n`);
}

/** npm as it was called, else the one beside this Node.js. */
function npm(args) {
  const script = process.env.npm_execpath;
  if (script?.endsWith('.js') && existsSync(script)) return [process.execPath, [script, ...args]];
  return ['npm', args];
}

/** Compiles what changed. `projects`: none means all. */
function build(projects) {
  const before = Date.now();
  const why = 'The build failed: see above.';
  run(process.execPath, [join(ROOT, 'proto', 'generate.mjs')], why);
  const tsc = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
  run(process.execPath, [tsc, '-b', ...projects], why);
  removeOrphans(ROOT);
  run(process.execPath, [join(ROOT, 'deploy', 'bundle.mjs')], why);
  const seconds = (Date.now() - before) / 1000;
  if (seconds > 3) say(`Built in ${seconds.toFixed(1)} s.`);
}

function run(command, args, why) {
  const done = spawnSync(command, args, { cwd: ROOT, stdio: ['ignore', 'inherit', 'inherit'] });
  if (done.error) throw new Stop(`${command} cannot be run: ${done.error.message}`);
  if (done.signal) throw new Stop(`Interrupted (${done.signal}).`);
  if (done.status !== 0) throw new Stop(why);
}

/** Runs the built command line and takes its exit code. */
function swarm(args) {
  const main = join(ROOT, 'dist', 'bundle', 'swarm.mjs');
  const child = spawn(process.execPath, [main, ...args], { cwd: ROOT, stdio: 'inherit' });
  // Ctrl-C reaches the whole process group: the command line ends in order, then we do.
  process.on('SIGINT', () => undefined);
  return new Promise((resolve) => {
    child.on('exit', (code, signal) => resolve(signal === null ? code : 130));
    child.on('error', (error) => {
      process.stderr.write(`Error: ${error.message}\n`);
      resolve(1);
    });
  });
}

function say(text) {
  process.stderr.write(`${text}\n`);
}

try {
  process.exitCode = (await main(process.argv[2] ?? '', process.argv.slice(3))) ?? 0;
} catch (error) {
  if (!(error instanceof Stop)) throw error;
  say(`Error: ${error.message}`);
  process.exitCode = 1;
}
