import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Command } from 'commander';
import type { Entry } from './entry.ts';
import { findInstallation } from './installation.ts';
import { TREE } from './tree.ts';

const ROOT = findInstallation().root;
const GUIDE = join(ROOT, 'docs', 'guide');
const PAGES = [
  'README.md',
  'SECURITY.md',
  ...readdirSync(GUIDE).map((name) => join('docs', 'guide', name)),
].map((name) => ({ name, text: readFileSync(join(ROOT, name), 'utf8') }));

/** Whole flags; `--update-…` and `--ready-*` stand for several. */
const FLAG = /(?<![\w-])--[a-z][a-z0-9-]*(?![\w*…-])/g;
/** Flags of other programs, or said not to exist. */
const OTHERS = new Set(['--autolock', '--help', '--test', '--uninstall']);
/** Pages for who works on the project speak of its own tools. */
const OF_TOOLS = /(proof-of-consensus|unproven)\.md$/;
const GLOBAL = ['--socket', '--via', '--consistency', '--version'];

/** `swarm NOUN [VERB]` → what its help says of --filter. */
const filters = new Map<string, string>();

/** Every `swarm NOUN [VERB]` with its long flags. */
async function commands(): Promise<Map<string, readonly string[]>> {
  const out = new Map<string, readonly string[]>();
  const add = async (path: string, entry: Entry): Promise<void> => {
    const command = new Command();
    (await entry.load!()).declare(command);
    const flags = command.options.map(({ long }) => long!);
    filters.set(path, command.options.find(({ long }) => long === '--filter')?.description ?? '');
    for (const alias of [path, ...(entry.aliases ?? []).map((a) => path.replace(/\S+$/, a))])
      out.set(alias, flags);
  };
  for (const [noun, entry] of Object.entries(TREE)) {
    if (entry.load !== undefined) await add(noun, entry);
    for (const [verb, inner] of Object.entries(entry.verbs ?? {}))
      await add(`${noun} ${verb}`, inner);
  }
  return out;
}

/** What stands in a page to be typed: `swarm ...` in code, without prompt, comment and `--via`. */
function typed(text: string): string[] {
  const inline = [...text.matchAll(/`(?:\.\/)?(swarm [^`\n]+)`/g)].map((match) => match[1]!);
  const blocks = [...text.matchAll(/```\w*\n([\s\S]*?)```/g)].flatMap((match) =>
    match[1]!.split(/[\n|]/).map((line) => line.trim().replace(/^(sudo |\.\/)*/, '')),
  );
  return [...inline, ...blocks]
    .filter((line) => /^swarm [a-z-]/.test(line))
    .map((line) => line.replace(/ +#.*$/, '').replace(/--via \S+ /, ''));
}

test('every flag of the guide is a flag of a command', async () => {
  const known = new Set([...GLOBAL, ...OTHERS, ...[...(await commands()).values()].flat()]);
  const wrong = PAGES.filter(({ name }) => !OF_TOOLS.test(name)).flatMap(({ name, text }) =>
    [...text.matchAll(FLAG)]
      .filter(([flag]) => !known.has(flag))
      .map(([flag]) => `${name}: ${flag}`),
  );
  assert.deepEqual(wrong, []);
});

test('every command of the guide is there, with the flags that stand behind it', async () => {
  const known = await commands();
  const wrong: string[] = [];
  for (const { name, text } of PAGES) {
    for (const line of typed(text)) {
      const [, noun, verb] = line.split(/ +/);
      // A whole noun may be named: `swarm dev`.
      if (verb === undefined && TREE[noun!] !== undefined) continue;
      const flags = known.get(known.has(noun!) ? noun! : `${noun} ${verb}`);
      // What follows --process or an exec is the task's own.
      const own = line.split(/ --process /)[0]!;
      const strange = [...own.matchAll(FLAG)].filter(
        ([flag]) => ![...(flags ?? []), ...GLOBAL].includes(flag),
      );
      for (const [, key] of own.matchAll(/--filter (\w+)=/g))
        if (!(filters.get(noun!) ?? filters.get(`${noun} ${verb}`))?.includes(key!))
          wrong.push(`${name}: ${line}`);
      if (flags === undefined || strange.length > 0) wrong.push(`${name}: ${line} ${strange}`);
    }
  }
  assert.deepEqual(wrong, []);
});
