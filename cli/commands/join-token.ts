import { ControlService, JoinTokenRequest, Role } from '../../proto/index.ts';
import type { Verb } from '../command.ts';
import { parseWord } from '../parse/words.ts';

const ROLES: { readonly [word: string]: Role } = { worker: Role.WORKER, manager: Role.MANAGER };

export const joinToken: Verb = {
  declare(command) {
    command
      .argument('<worker|manager>')
      .option('--rotate', 'Make a new one; the old one is refused at once, members stay')
      .option('-q, --quiet', 'Only the token');
  },
  async run(context, words, flags) {
    const role = parseWord('join-token', words[0]!, ROLES);
    const session = await context.connect();
    const rotate = flags.is('rotate');
    const request = JoinTokenRequest.create({ role, rotate });
    const answer = rotate
      ? await session.write(ControlService.joinToken, request)
      : await session.read(ControlService.joinToken, request);
    if (flags.is('quiet')) {
      context.io.out(`${answer.token}\n`);
      return;
    }
    const done = rotate ? `The ${words[0]} token was renewed. ` : '';
    context.io.out(
      `${done}To add a ${words[0]} to this cluster, run there:\n\n` +
        `    swarm join --token ${answer.token} ${answer.managers[0] ?? 'HOST:2377'}\n\n`,
    );
  },
};
