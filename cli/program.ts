import { Command, CommanderError, Option } from 'commander';
import type { Consistency } from '../shared/rpc/rpc.ts';
import { typedFlags, type Verb } from './command.ts';
import type { Context, Globals } from './context.ts';
import type { Entry } from './entry.ts';
import { hintFor, hintForFlag } from './hints.ts';
import type { Io } from './io.ts';
import { Flags } from './spec/flags.ts';
import { withSwitches } from './switches.ts';
import { TREE } from './tree.ts';

/** What was chosen on the command line; `code` when help or an error of usage has been shown. */
export type Choice =
  | { readonly code: number }
  | {
      readonly verb: Verb;
      readonly words: readonly string[];
      readonly flags: Flags;
      readonly globals: Globals;
    };

const GLOBAL = 'Which daemon:';

interface Chosen {
  /** The command that the words lead to, with its options. */
  declared?: Command;
  verb?: Verb;
  command?: Command;
}

/**
 * Reads the command line. Only the chosen verb is loaded; everything else is in the program with its
 * name and summary, for help and for suggestions.
 */
export async function choose(argv: readonly string[], io: Io): Promise<Choice> {
  if (argv[0] === 'help') return choose([...argv.slice(1), '--help'], io);
  const path = chosenPath(argv);
  const asksVersion = argv.some((word) => word === '-v' || word === '--version');
  if (path.length === 0 && asksVersion) return choose(['version', '--quiet'], io);
  const chosen: Chosen = {};
  const program = configure(new Command('swarm'), io)
    .usage('[OPTIONS] COMMAND')
    .description('A cluster scheduler: machines become a cluster, services run on it.')
    .option('-v, --version', 'Version of this program')
    .enablePositionalOptions();
  addGlobals(program);
  await addEntries(program, TREE, path, chosen, io);
  program.addHelpText('after', "\nRun 'swarm COMMAND --help' for more about a command.");
  if (argv.length === 0) {
    program.outputHelp();
    return { code: 0 };
  }
  try {
    const { declared } = chosen;
    const words = declared === undefined ? argv : withSwitches(argv, path.length, declared);
    program.parse([...words], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return { code: error.exitCode === 0 ? 0 : 2 };
  }
  return result(program, chosen);
}

function result(program: Command, chosen: Chosen): Choice {
  const { verb, command } = chosen;
  if (verb === undefined || command === undefined) {
    program.outputHelp({ error: true });
    return { code: 2 };
  }
  const typed = { ...typedFlags(program), ...typedFlags(command) };
  const { socket, via, consistency, ...rest } = typed;
  return {
    verb,
    words: command.args,
    flags: new Flags(rest),
    globals: {
      socket: typeof socket === 'string' ? socket : undefined,
      via: typeof via === 'string' ? via : undefined,
      ...(consistency === undefined ? {} : { consistency: consistency as Consistency }),
    },
  };
}

async function addEntries(
  parent: Command,
  entries: { readonly [word: string]: Entry },
  path: readonly string[],
  chosen: Chosen,
  io: Io,
): Promise<void> {
  for (const [word, entry] of Object.entries(entries)) {
    const command = configure(new Command(word), io)
      .summary(entry.summary)
      .description(entry.summary)
      .aliases([...(entry.aliases ?? [])]);
    if (entry.group !== undefined) command.helpGroup(entry.group);
    parent.addCommand(command, { hidden: entry.hidden ?? false });
    if (path[0] !== word && !(entry.aliases ?? []).includes(path[0] ?? '')) continue;
    if (entry.verbs !== undefined) {
      command.usage('COMMAND').enablePositionalOptions();
      await addEntries(command, entry.verbs, path.slice(1), chosen, io);
      command.addHelpText(
        'after',
        `\nRun 'swarm ${word} COMMAND --help' for more about a command.`,
      );
    }
    if (entry.load !== undefined) declareVerb(command, await entry.load(), chosen);
  }
}

function declareVerb(command: Command, verb: Verb, chosen: Chosen): void {
  verb.declare(command);
  addGlobals(command);
  chosen.declared = command;
  command.action(() => {
    chosen.verb = verb;
    chosen.command = command;
  });
}

function addGlobals(command: Command): void {
  command
    .addOption(new Option('--socket <PATH>', 'Socket of the daemon').helpGroup(GLOBAL))
    .addOption(
      new Option('--via <NODE>', "Node of this machine's `swarm dev` cluster").helpGroup(GLOBAL),
    )
    .addOption(
      new Option('--consistency <WORD>', 'linearizable, or stale: what this manager has, at once')
        .choices(['linearizable', 'stale'])
        .helpGroup(GLOBAL),
    );
}

function configure(command: Command, io: Io): Command {
  return command
    .exitOverride()
    .showSuggestionAfterError()
    .helpOption('-h, --help', 'Show this')
    .helpCommand(false)
    .configureHelp({ showGlobalOptions: false, sortSubcommands: false })
    .configureOutput({
      writeOut: (text) => io.out(asTyped(text)),
      writeErr: (text) => io.err(asTyped(text)),
      getOutHelpWidth: () => Math.min(io.columns, 100),
      getErrHelpWidth: () => Math.min(io.columns, 100),
      outputError: (text, write) => write(usageError(text, command)),
    });
}

/** `npm run up` and `npm run down` are verbs of their own that nobody types. */
function asTyped(text: string): string {
  return text.replaceAll(/swarm __(up|down)/g, 'npm run $1 --');
}

/** "error: unknown option '--replica'\n(Did you mean --replicas?)" in the voice of this program. */
function usageError(text: string, command: Command): string {
  const names: string[] = [];
  for (let at: Command | null = command; at !== null; at = at.parent) names.unshift(at.name());
  const [first, ...more] = text.trim().split('\n');
  const sentence = first!.replace(/^error: /, '').replace(/\.?$/, '.');
  const lines = [`Error: ${sentence.charAt(0).toUpperCase()}${sentence.slice(1)}`];
  const better = betterHint(sentence, command);
  if (better !== undefined) lines.push(better);
  else for (const line of more) lines.push(line.replace(/^\((.*)\)$/, '$1'));
  return `${lines.join('\n')}\nRun '${names.join(' ')} --help' for what it takes.\n`;
}

/** Where more is known than which word is spelt alike. */
function betterHint(sentence: string, command: Command): string | undefined {
  const [, kind, word = ''] = /^unknown (command|option) '([^']*)'/.exec(sentence) ?? [];
  if (kind === 'command')
    return hintFor(command.parent === null ? word : `${command.name()} ${word}`);
  return hintForFlag(
    word,
    command.options.flatMap(({ long }) => long ?? []),
  );
}

/** Noun and verb among the arguments; the values of global options are not words. */
function chosenPath(argv: readonly string[]): readonly string[] {
  const words: string[] = [];
  for (let i = 0; i < argv.length && words.length < 2; i++) {
    const arg = argv[i]!;
    if (arg === '--socket' || arg === '--via' || arg === '--consistency') i++;
    else if (!arg.startsWith('-')) words.push(arg);
  }
  return words;
}

/** Runs what was chosen with a context; without a choice its code is the answer. */
export async function perform(choice: Choice, context: Context): Promise<number> {
  if ('code' in choice) return choice.code;
  const code = await choice.verb.run(context, choice.words, choice.flags);
  return code ?? 0;
}
