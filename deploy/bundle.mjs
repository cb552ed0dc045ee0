// Bundles the mains into dist/bundle: swarm.mjs (the command line, split so that help loads neither
// messages nor gRPC), swarmd.mjs and netd.mjs. Native code (LevelDB) stays outside, in node_modules.
// Does nothing when no compiled file is newer than what it made. `--force` makes them anew.
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');
const OUT = join(ROOT, 'dist', 'bundle');
const STAMP = join(OUT, 'stamp');
const PARTS = ['proto', 'shared', 'manager', 'worker', 'daemon', 'cli'];

/** Entry points as compiled by tsc; the daemon's are bundled once they are there. */
const ENTRIES = {
  swarm: join(ROOT, 'dist', 'cli', 'main.js'),
  swarmd: join(ROOT, 'dist', 'daemon', 'swarmd.js'),
  netd: join(ROOT, 'dist', 'daemon', 'netd.js'),
};

/** What must never be bundled: it finds its binary beside its own files. */
const NATIVE = ['classic-level'];

// Packages written for CommonJS call require(); and an old Node.js gets a sentence, not a stack.
const BANNER =
  "import{createRequire as __createRequire}from'node:module';" +
  'const require=__createRequire(import.meta.url);' +
  "if(Number(process.versions.node.split('.')[0])<20){process.stderr.write('Error: swarm needs " +
  "Node.js 20.19 or newer, this is '+process.versions.node+'.\\n');process.exit(2);}";

async function main() {
  const entries = Object.fromEntries(
    Object.entries(ENTRIES).filter(([, path]) => existsSync(path)),
  );
  const digest = `${JSON.stringify(Object.keys(entries))} ${newest(PARTS)}`;
  const current = existsSync(STAMP) ? readFileSync(STAMP, 'utf8') : '';
  if (current === digest && !process.argv.includes('--force')) return;
  const { build } = await import('esbuild');
  rmSync(OUT, { recursive: true, force: true });
  mkdirSync(OUT, { recursive: true });
  const { swarm, ...daemons } = entries;
  await bundle(build, { swarm }, true);
  if (Object.keys(daemons).length > 0) await bundle(build, daemons, false);
  writeFileSync(STAMP, digest);
}

function bundle(build, entryPoints, isCommandLine) {
  return build({
    entryPoints,
    outdir: OUT,
    outExtension: { '.js': '.mjs' },
    chunkNames: `${isCommandLine ? 'swarm' : 'daemon'}-[hash]`,
    bundle: true,
    splitting: isCommandLine,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    minify: isCommandLine,
    sourcemap: isCommandLine ? false : 'linked',
    legalComments: 'none',
    external: NATIVE,
    banner: { js: BANNER },
    logLevel: 'warning',
    plugins: isCommandLine ? [lazyMessages] : [],
  });
}

/**
 * The codecs of all messages take 20 ms to set up, a tenth of them are used by a command: each is set
 * up when it is first touched. For the command line alone: on hot paths the detour would cost.
 */
const lazyMessages = {
  name: 'lazy-messages',
  setup(build) {
    build.onLoad({ filter: /dist\/proto\/generated\/codecs\.js$/ }, ({ path }) => {
      let count = 0;
      const text = readFileSync(path, 'utf8')
        .replace(/^ {8}v1\.(\w+) = \(function\(\) \{$/gm, (_line, name) => {
          count++;
          return `__lazy(v1, '${name}', function() {`;
        })
        .replace(/^ {8}\}\)\(\);$/gm, '});');
      if (count < 50) throw new Error('the generated codecs have another form: adapt lazyMessages');
      return { contents: `${LAZY}\n${text}`, loader: 'js' };
    });
    build.onLoad({ filter: /dist\/proto\/generated\/messages\.js$/ }, ({ path }) => {
      const text = readFileSync(path, 'utf8');
      const contents = text.replace(/codec\(v1\.(\w+),/g, 'codec(__later(() => v1.$1),');
      return { contents: `${LATER}\n${contents}`, loader: 'js' };
    });
  },
};
const LAZY = `function __lazy(target, name, make) {
  Object.defineProperty(target, name, { configurable: true, enumerable: true, get() {
    const value = make();
    Object.defineProperty(target, name, { value, enumerable: true });
    return value;
  } });
}`;
const LATER = `function __later(get) {
  return new Proxy(function () {}, {
    get: (_target, key) => get()[key],
    construct: (_target, args) => new (get())(...args),
  });
}`;

/** Time and path of the newest compiled file. */
function newest(parts) {
  let best = 0;
  let count = 0;
  const walk = (dir) => {
    for (const entry of readdirSync(dir, { withFileTypes: true })) {
      const path = join(dir, entry.name);
      if (entry.isDirectory()) walk(path);
      else if (entry.name.endsWith('.js') && !entry.name.endsWith('.test.js')) {
        best = Math.max(best, statSync(path).mtimeMs);
        count++;
      }
    }
  };
  for (const part of parts)
    if (existsSync(join(ROOT, 'dist', part))) walk(join(ROOT, 'dist', part));
  return `${best} ${count} ${statSync(fileURLToPath(import.meta.url)).mtimeMs}`;
}

await main();
