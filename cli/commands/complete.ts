import { Command, type Option } from 'commander';
import { ControlService, ListRequest } from '../../proto/index.ts';
import type { Verb } from '../command.ts';
import type { Context } from '../context.ts';
import { readDevMarker } from '../dev/marker.ts';
import type { Entry } from '../entry.ts';
import { printable } from '../output/printable.ts';
import type { Session } from '../session.ts';
import { Flags } from '../spec/flags.ts';
import { dirOf } from './dev/options.ts';

type Entries = { readonly [word: string]: Entry };

/** `swarm __complete WORD...`: prints what may stand in the place of the last word. */
export function completeVerb(tree: Entries): Verb {
  return {
    declare(command) {
      command.argument('[words...]').passThroughOptions().allowUnknownOption();
    },
    async run(context, words) {
      const found = await suggestions(context, tree, words).catch(() => []);
      const typed = words.at(-1) ?? '';
      const matching = found.filter(([word]) => word.startsWith(typed));
      context.io.out(matching.map(([word, text]) => `${printable(word)}\t${text}\n`).join(''));
    },
  };
}

type Suggestion = readonly [word: string, text: string];

async function suggestions(
  context: Context,
  tree: Entries,
  words: readonly string[],
): Promise<readonly Suggestion[]> {
  const before = words.slice(0, -1);
  const typed = words.at(-1) ?? '';
  const path: string[] = [];
  let entries = tree;
  let entry: Entry | undefined;
  for (const word of before) {
    if (word.startsWith('-')) continue;
    const next: Entry | undefined = entries[word];
    if (next === undefined) break;
    path.push(word);
    entry = next;
    entries = next.verbs ?? {};
    if (next.load !== undefined) break;
  }
  if (entry?.load === undefined) return names(entries);
  const command = new Command(path.at(-1));
  (await entry.load()).declare(command);
  const pending = optionAt(command, before.at(-1));
  if (pending !== undefined) return valuesOf(context, pending);
  if (typed.startsWith('-'))
    return command.options.map((option) => [option.long!, option.description]);
  return objects(context, path);
}

function names(entries: Entries): readonly Suggestion[] {
  return Object.entries(entries)
    .filter(([, entry]) => entry.hidden !== true)
    .map(([word, entry]) => [word, entry.summary]);
}

/** The option whose value is being typed. */
function optionAt(command: Command, word: string | undefined): Option | undefined {
  const option = command.options.find(({ short, long }) => word === long || word === short);
  return option?.required === true ? option : undefined;
}

/** Words of an option's description, where it lists them: "active, pause or drain". */
async function valuesOf(context: Context, option: Option): Promise<readonly Suggestion[]> {
  if (option.long === '--via') return devNodes(context);
  const words = option.description.replace(/\(.*\)/, '').split(/, | or /);
  return words.length > 1 && words.every((word) => /^[a-z-]+$/.test(word.trim()))
    ? words.map((word) => [word.trim(), ''])
    : [];
}

/** Words that are followed by a service or one of its tasks. */
const INSIDE: ReadonlySet<string> = new Set(
  'exec attach port-forward cp logs stats top'.split(' '),
);

async function objects(context: Context, path: readonly string[]): Promise<readonly Suggestion[]> {
  const [noun, verb] = path;
  if (noun === 'completion')
    return [
      ['bash', ''],
      ['zsh', ''],
      ['fish', ''],
    ];
  if (noun === 'join-token')
    return [
      ['worker', ''],
      ['manager', ''],
    ];
  if (noun === 'dev' && verb !== 'up' && verb !== 'down') return devNodes(context);
  if (verb === 'ls' || verb === 'create') return [];
  const looking = INSIDE.has(noun ?? '');
  const known = ['service', 'node', 'task', 'network', 'volume', 'why'].includes(noun ?? '');
  if (!known && !looking) return [];
  const session = await context.connect();
  const lists = [];
  if (noun === 'service' || noun === 'why' || looking)
    lists.push(services(session, verb === 'scale' ? '=' : ''));
  if (noun === 'node' || noun === 'why') lists.push(nodes(session));
  if (noun === 'task' || noun === 'why') lists.push(tasks(session));
  if (noun === 'network' || noun === 'why') lists.push(networks(session));
  if (noun === 'volume') lists.push(volumes(session));
  return (await Promise.all(lists)).flat();
}

async function services(session: Session, suffix: string): Promise<readonly Suggestion[]> {
  const answer = await session.read(ControlService.listServices, ListRequest.create());
  return answer.services.map((view) => [
    `${view.service?.spec?.name ?? ''}${suffix}`,
    `${view.running}/${view.desired}`,
  ]);
}

async function nodes(session: Session): Promise<readonly Suggestion[]> {
  const answer = await session.read(ControlService.listNodes, ListRequest.create());
  return answer.nodes.map((view) => [view.node?.name ?? '', 'node']);
}

async function networks(session: Session): Promise<readonly Suggestion[]> {
  const answer = await session.read(ControlService.listNetworks, ListRequest.create());
  return answer.networks
    .filter((view) => !view.predefined)
    .map((view) => [view.network?.spec?.name ?? '', 'network']);
}

async function volumes(session: Session): Promise<readonly Suggestion[]> {
  const answer = await session.read(ControlService.listVolumes, ListRequest.create());
  return answer.volumes.map((view) => [
    `${view.nodeName}:${view.volume?.name ?? ''}`,
    view.services.join(','),
  ]);
}

async function tasks(session: Session): Promise<readonly Suggestion[]> {
  const answer = await session.read(ControlService.listTasks, ListRequest.create());
  return answer.tasks.map((view) => [view.task?.id ?? '', view.serviceName]);
}

async function devNodes(context: Context): Promise<readonly Suggestion[]> {
  const marker = readDevMarker(dirOf(context, new Flags({})));
  return (marker?.nodes ?? []).map((node) => [node.name, node.address]);
}
