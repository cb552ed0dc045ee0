import type { Verb } from '../command.ts';
import { TaskTalk } from '../task-talk.ts';
import { converse } from '../terminal/converse.ts';
import { DETACH_KEYS, parseDetachKeys } from '../terminal/detach-keys.ts';

export const attach: Verb = {
  declare(command) {
    command
      .argument('<TASK|SERVICE[.SLOT]>')
      .option('--no-stdin', 'Pass no input on to the task')
      .option('--sig-proxy [BOOL]', 'Pass signals on to the task (true)')
      .option('--detach-keys <KEYS>', `Keys that leave it (${DETACH_KEYS})`);
  },
  async run(context, words, flags) {
    const keys = parseDetachKeys(flags.text('detach-keys') ?? DETACH_KEYS);
    const { terminal } = context.io;
    const wantsInput = !flags.is('no-stdin');
    const session = await context.connect();
    const talk = new TaskTalk(session, words[0]!, { attach: { input: wantsInput } });
    try {
      const started = await talk.started;
      const input = started.input && wantsInput;
      return await converse(context.io, talk, {
        terminal: started.terminal,
        input,
        detachKeys: input && terminal.hasKeyboard ? keys : undefined,
        passSignals: !started.terminal && (flags.boolean('sig-proxy') ?? true),
      });
    } finally {
      talk.close();
    }
  },
};
