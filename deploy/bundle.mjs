// Bundles the mains into dist/bundle: swarm.mjs (the command line) with swarm-rpc.mjs (gRPC, loaded at
// the first call), swarm-containerd.mjs (where its images are asked for) and swarm-codecs.txt
// (messages), swarmd.mjs, netd.mjs and inside.mjs. Native code (LevelDB) stays outside, in node_modules.
// Does nothing when it was made of these very files. `--force` makes them anew.
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { isBuiltin } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');
const OUT = join(ROOT, 'dist', 'bundle');
const STAMP = join(OUT, 'stamp');
const CODECS = 'swarm-codecs.txt';
const FRESH = `${OUT}.${process.pid}`;
const PARTS = ['proto', 'shared', 'manager', 'worker', 'daemon', 'cli'];

/** Entry points as compiled by tsc; the daemon's are bundled once they are there. */
const ENTRIES = {
  swarm: join(ROOT, 'dist', 'cli', 'main.js'),
  swarmd: join(ROOT, 'dist', 'daemon', 'swarmd.js'),
  netd: join(ROOT, 'dist', 'daemon', 'netd.js'),
  inside: join(ROOT, 'dist', 'worker', 'inside', 'main.js'),
};

/** What must never be bundled: it finds its binary beside its own files. */
const NATIVE = ['classic-level'];

/**
 * An old Node.js, or another system, gets a sentence and not a stack. It is put into each program as
 * text: nothing of its own may be loaded before.
 */
function refuseElsewhere() {
  const stop = (text) => {
    process.stderr.write(`Error: ${text}\n`);
    process.exit(2);
  };
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 19))
    stop(`swarm needs Node.js 20.19 or newer, this is ${process.versions.node}.`);
  if (process.platform === 'linux') return;
  const advice =
    process.platform === 'win32'
      ? 'In Windows, WSL2 has one: wsl --install'
      : 'A Linux machine or virtual machine runs it.';
  stop(`swarm runs on Linux; this is ${process.platform}.\n${advice}`);
}

// Packages written for CommonJS call require().
const BANNER =
  "import{createRequire as __createRequire}from'node:module';" +
  'const require=__createRequire(import.meta.url);' +
  `(${String(refuseElsewhere)})();`;

async function main() {
  const entries = Object.fromEntries(
    Object.entries(ENTRIES).filter(([, path]) => existsSync(path)),
  );
  const digest = contentOf(PARTS);
  const current = existsSync(STAMP) ? readFileSync(STAMP, 'utf8') : '';
  if (current === digest && !process.argv.includes('--force')) return;
  const esbuild = await import('esbuild');
  rmSync(FRESH, { recursive: true, force: true });
  const { swarm, ...daemons } = entries;
  await bundle(
    esbuild,
    { swarm },
    {
      plugins: [textMessages(esbuild), separate, builtins],
      minify: true,
    },
  );
  const containerd = join(ROOT, 'dist', 'cli', 'image', 'containerd-image.js');
  await bundle(
    esbuild,
    { 'swarm-containerd': containerd },
    {
      plugins: [separate, builtins],
      minify: true,
    },
  );
  const rpc = join(ROOT, 'dist', 'shared', 'rpc', 'client.js');
  await bundle(esbuild, { 'swarm-rpc': rpc }, { plugins: [noMessages, builtins], minify: true });
  if (Object.keys(daemons).length > 0) {
    await bundle(esbuild, daemons, {
      sourcemap: 'linked',
      plugins: [smallCodecs(esbuild)],
      minifyWhitespace: true,
      lineLimit: 100,
    });
  }
  writeFileSync(join(FRESH, 'stamp'), digest);
  // In one step: what runs meanwhile finds the old bundle or the new one.
  rmSync(`${FRESH}.old`, { recursive: true, force: true });
  if (existsSync(OUT)) renameSync(OUT, `${FRESH}.old`);
  renameSync(FRESH, OUT);
  rmSync(`${FRESH}.old`, { recursive: true, force: true });
}

function bundle(esbuild, entryPoints, more) {
  return esbuild.build({
    entryPoints,
    outdir: FRESH,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    legalComments: 'none',
    external: NATIVE,
    banner: { js: BANNER },
    logLevel: 'warning',
    ...more,
  });
}

/** The command line is one file, for each further one costs; what is large and seldom needed is not. */
const SEPARATE = [
  [/\/rpc\/client\.js$/, './swarm-rpc.mjs'],
  [/\/containerd-image\.js$/, './swarm-containerd.mjs'],
];
const separate = {
  name: 'separate',
  setup(build) {
    for (const [filter, path] of SEPARATE) {
      build.onResolve({ filter }, ({ kind }) =>
        kind === 'dynamic-import' ? { path, external: true } : undefined,
      );
    }
  },
};

/**
 * Import statements all run at the start, also those of commands that were not chosen, and each of a
 * part of Node.js touches all that it exports. So each is fetched where its module begins to run.
 */
const builtins = {
  name: 'builtins',
  setup(build) {
    build.onResolve({ filter: /^(node:)?[a-z0-9_/]+$/ }, ({ path }) =>
      isBuiltin(path) ? { path, namespace: 'builtin' } : undefined,
    );
    build.onLoad({ filter: /./, namespace: 'builtin' }, ({ path }) => ({
      contents: `module.exports = process.getBuiltinModule(${JSON.stringify(path)});`,
      loader: 'js',
    }));
  },
};

/** gRPC gets its codecs from who calls: the messages are in the command line already. */
const noMessages = {
  name: 'no-messages',
  setup(build) {
    build.onLoad({ filter: /dist\/proto\/generated\/(codecs|messages)\.js$/ }, ({ path }) => {
      if (path.endsWith('codecs.js')) return { contents: 'export const swarm = {};', loader: 'js' };
      const names = readFileSync(path, 'utf8').matchAll(/^export const (\w+)/gm);
      const contents = [...names].map(([, name]) => `export const ${name} = {};`).join('\n');
      return { contents, loader: 'js' };
    });
  },
};

/**
 * A program's text stays in its memory. Half of a daemon's are codecs, which were generated and are read
 * by nobody; all else keeps its names and lines that can be found, for the sake of stack traces.
 */
function smallCodecs(esbuild) {
  return {
    name: 'small-codecs',
    setup(build) {
      build.onLoad(
        { filter: /dist\/proto\/generated\/(codecs|containerd)\.js$/ },
        async ({ path }) => {
          const { code } = await esbuild.transform(readFileSync(path, 'utf8'), { minify: true });
          return { contents: code, loader: 'js' };
        },
      );
    },
  };
}

/**
 * Parsing the codecs of all messages and setting them up takes 35 ms, scanning their text another 10,
 * and a command uses a tenth of them. So they lie in a file of their own, read with the first message,
 * and each becomes code when it is first touched. For the command line alone: on the daemon's hot
 * paths the detour would cost.
 */
function textMessages(esbuild) {
  return {
    name: 'text-messages',
    setup(build) {
      build.onLoad({ filter: /dist\/proto\/generated\/codecs\.js$/ }, async ({ path }) => ({
        contents: await codecsAsText(esbuild, readFileSync(path, 'utf8')),
        loader: 'js',
      }));
      build.onLoad({ filter: /dist\/proto\/generated\/messages\.js$/ }, ({ path }) => {
        const text = readFileSync(path, 'utf8');
        const contents = text.replace(/codec\(v1\.(\w+),/g, 'codec(__later(() => v1.$1),');
        return { contents: `${LATER}\n${contents}`, loader: 'js' };
      });
    },
  };
}

async function codecsAsText(esbuild, text) {
  const globals = [...text.split('export const swarm')[0].matchAll(/(\$\w+) = \$/g)].map(
    (m) => m[1],
  );
  const names = [...new Set(['$root', ...globals])];
  const parts = [];
  let bodies = '';
  const pattern = /^ {8}v1\.(\w+) = (\(function\(\) \{$[\s\S]*?^ {8}\}\)\(\));$/gm;
  let at = 0;
  let count = 0;
  for (const match of text.matchAll(pattern)) {
    const { code } = await esbuild.transform(`x=${match[2]}`, { minify: true });
    const body = `return ${code.trim().replace(/^x=/, '')}`;
    if (/[^\x20-\x7e\n]/.test(body)) throw new Error(`the codec of ${match[1]} is no plain text`);
    const [from, to] = [bodies.length, bodies.length + body.length];
    bodies += body;
    parts.push(text.slice(at, match.index), `__lazy(v1, '${match[1]}', ${from}, ${to});`);
    at = match.index + match[0].length;
    count++;
  }
  if (count < 50) throw new Error('the generated codecs have another form: adapt textMessages');
  mkdirSync(FRESH, { recursive: true });
  writeFileSync(join(FRESH, CODECS), bodies);
  const lazy = LAZY.replace('NAMES', JSON.stringify(names)).replace('VALUES', names.join(', '));
  return `${parts.join('')}${text.slice(at)}\n${lazy}`;
}

const LAZY = `import { readFileSync as __read } from 'node:fs';
let __bodies;
function __lazy(target, name, from, to) {
  Object.defineProperty(target, name, { configurable: true, enumerable: true, get() {
    __bodies ??= __read(new URL('${CODECS}', import.meta.url), 'latin1');
    const value = new Function(...NAMES, __bodies.slice(from, to))(VALUES);
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

/** Of what is compiled, by content: files are written anew that have not changed. */
function contentOf(parts) {
  const hash = createHash('sha256').update(readFileSync(fileURLToPath(import.meta.url)));
  const walk = (dir) => {
    const entries = readdirSync(dir, { withFileTypes: true });
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const path = join(dir, entry.name);
      if (entry.isDirectory()) walk(path);
      else if (entry.name.endsWith('.js') && !entry.name.endsWith('.test.js'))
        hash.update(entry.name).update(readFileSync(path));
    }
  };
  for (const part of parts)
    if (existsSync(join(ROOT, 'dist', part))) walk(join(ROOT, 'dist', part));
  return hash.digest('hex');
}

await main();
