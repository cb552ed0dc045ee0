import type { TerminalSize } from '../../proto/index.ts';
import { SwarmError } from '../../shared/errors.ts';
import type { Verb } from '../command.ts';
import type { Context } from '../context.ts';
import { mergeEnv, parseEnv, parseEnvFile } from '../parse/env.ts';
import { collect } from '../spec/declare-options.ts';
import type { Flags } from '../spec/flags.ts';
import { NotBegun, TaskTalk } from '../task-talk.ts';
import { converse } from '../terminal/converse.ts';
import { DETACH_KEYS, parseDetachKeys } from '../terminal/detach-keys.ts';

export const exec: Verb = {
  declare(command) {
    command
      .argument('<TASK|SERVICE[.SLOT]>')
      .argument('<COMMAND>')
      .argument('[ARG...]')
      .passThroughOptions()
      .option('-i, --interactive', 'Pass standard input on to the command')
      .option('-t, --tty', 'Give the command a terminal')
      .option('-e, --env <K=V>', 'Set a variable', collect)
      .option('--env-file <FILE>', 'Set the variables of a file', collect)
      .option('-u, --user <USER>', 'Run as NAME|UID[:GROUP|GID]')
      .option('-w, --workdir <DIR>', 'Run in this directory of the task')
      .option('--privileged', 'With every right; needs swarm cluster update --allow-host-access')
      .option('-d, --detach', 'Only start it')
      .option('--detach-keys <KEYS>', `Keys that leave it running (${DETACH_KEYS})`);
  },
  async run(context, words, flags) {
    const [ref = '', ...command] = words;
    const terminal = sizeFor(context, flags);
    const keys = parseDetachKeys(flags.text('detach-keys') ?? DETACH_KEYS);
    const env = await environmentFor(context, flags);
    const detach = flags.is('detach');
    const session = await context.connect();
    const talk = new TaskTalk(session, ref, {
      exec: {
        command,
        env,
        user: flags.text('user') ?? '',
        workdir: flags.text('workdir') ?? '',
        terminal: terminal ?? null,
        input: flags.is('interactive') && !detach,
        detach,
        privileged: flags.is('privileged'),
      },
    });
    try {
      await talk.started;
      if (detach) return (await talk.ended).code;
      return await converse(context.io, talk, {
        terminal: terminal !== undefined,
        input: flags.is('interactive'),
        detachKeys: terminal === undefined ? undefined : keys,
      });
    } catch (error) {
      if (!(error instanceof NotBegun)) throw error;
      context.io.err(`Error: ${error.message}\n`);
      return error.code;
    } finally {
      talk.close();
    }
  },
};

/** Files first: what is given by itself wins. */
async function environmentFor({ io }: Context, flags: Flags): Promise<readonly string[]> {
  const files: string[][] = [];
  for (const path of flags.list('env-file')) {
    files.push(parseEnvFile(path, await io.readFile(path), io.env));
  }
  const given = flags.list('env').flatMap((text) => parseEnv('--env', text, io.env) ?? []);
  return mergeEnv(...files, given);
}

/** The size of the terminal that the command is to get; undefined: none. */
function sizeFor(context: Context, flags: Flags): TerminalSize | undefined {
  if (!flags.is('tty')) return undefined;
  const { terminal } = context.io;
  if (flags.is('interactive') && !terminal.hasKeyboard) {
    throw new SwarmError('INVALID_ARGUMENT', 'The input device is not a TTY.', {
      advice: 'Leave -t out to pass input on that nobody types.',
    });
  }
  return terminal.size();
}
