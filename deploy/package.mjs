// `npm run package`: one tarball with the bundles, LevelDB's prebuilt binaries and `hello`, that needs
// Node.js and nothing else. `deploy/install.sh` installs it.
import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Not bundled, so it travels with what it needs. */
const NATIVE = 'classic-level';
const PREBUILDS = ['linux-x64', 'linux-arm64'];

/** `args[0]`: folder for the tarball, default dist. Resolves to the exit code. */
export function makePackage(root, args) {
  const { name, version, license, description, engines } = readJson(join(root, 'package.json'));
  const folder = `${name}-${version}`;
  const work = mkdtempSync(join(tmpdir(), 'swarm-package-'));
  try {
    const into = join(work, folder);
    mkdirSync(into, { recursive: true });
    const manifest = {
      name,
      version,
      description,
      license,
      private: true,
      type: 'module',
      engines,
    };
    writeFileSync(join(into, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
    for (const path of [
      'swarm',
      'LICENSE',
      'README.md',
      'deploy/install.sh',
      'deploy/swarm.service',
    ])
      if (existsSync(join(root, path))) cpSync(join(root, path), join(into, path));
    cpSync(join(root, 'deploy', 'examples', 'hello'), join(into, 'deploy', 'examples', 'hello'), {
      recursive: true,
      filter: (path) => !path.includes('.test.'),
    });
    cpSync(join(root, 'dist', 'bundle'), join(into, 'dist', 'bundle'), {
      recursive: true,
      filter: (path) => !path.endsWith('.map'),
    });
    for (const dependency of closure(root, NATIVE)) copyModule(root, into, dependency);
    const outDir = args[0] ?? join(root, 'dist');
    mkdirSync(outDir, { recursive: true });
    const target = join(outDir, `${folder}-linux.tar.gz`);
    tar(work, folder, target);
    const size = (statSync(target).size / 1e6).toFixed(1);
    process.stdout.write(
      `${target} (${size} MB)\n` +
        'Copy it to each machine and install it there (as an upgrade too: tasks go on):\n' +
        `  tar xzf ${folder}-linux.tar.gz\n` +
        `  sudo ${folder}/deploy/install.sh ${folder}-linux.tar.gz\n`,
    );
    return 0;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** A module and everything it needs, all of which npm put side by side. */
function closure(root, name, seen = new Set()) {
  if (seen.has(name)) return seen;
  seen.add(name);
  const { dependencies = {} } = readJson(join(root, 'node_modules', name, 'package.json'));
  for (const dependency of Object.keys(dependencies)) closure(root, dependency, seen);
  return seen;
}

/** What runs, and the licence: no C++ sources, no binaries of other platforms. */
function copyModule(root, into, name) {
  const from = join(root, 'node_modules', name);
  cpSync(from, join(into, 'node_modules', name), {
    recursive: true,
    filter: (path) => {
      const inside = path.slice(from.length + 1);
      if (/^(deps|src|binding\.cc|binding\.gyp|build|test)(\/|$)/.test(inside)) return false;
      if (/^node_modules(\/|$)/.test(inside)) return false;
      const prebuild = /^prebuilds\/([^/]+)/.exec(inside)?.[1];
      return prebuild === undefined || PREBUILDS.includes(prebuild);
    },
  });
  const hasPrebuilds = existsSync(join(from, 'prebuilds'));
  if (hasPrebuilds && readdirSync(join(into, 'node_modules', name, 'prebuilds')).length === 0)
    throw new Error(`${name} has no binary for ${PREBUILDS.join(' or ')}`);
}

/** The same files give the same tarball: sorted, owned by root, without the time of this build. */
function tar(work, folder, target) {
  const fixed = ['--sort=name', '--owner=0', '--group=0', '--numeric-owner', '--mtime=@0'];
  const done = spawnSync('tar', ['-C', work, ...fixed, '-I', 'gzip -n', '-cf', target, folder], {
    stdio: 'inherit',
  });
  if (done.status !== 0) throw new Error('tar failed: see above');
}

function readJson(path) {
  return JSON.parse(readFileSync(path, 'utf8'));
}
