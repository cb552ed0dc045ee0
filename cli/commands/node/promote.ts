import { ControlService, ListRequest, Ref, Role, UpdateNodeRequest } from '../../../proto/index.ts';
import type { Verb } from '../../command.ts';
import { warn } from '../../output/warning.ts';
import { reporter } from '../report.ts';
import { forEachWord } from '../shared-options.ts';
import { selfRef } from './self.ts';

export const promote: Verb = roleVerb(Role.MANAGER, 'manager', 'promoted to');
export const demote: Verb = roleVerb(Role.WORKER, 'worker', 'demoted to');

/** Writes the wish; `swarm node ls` shows each step until it is carried out. */
function roleVerb(role: Role, noun: string, done: string): Verb {
  return {
    declare(command) {
      command.argument('<NODE...>');
    },
    async run(context, words) {
      const session = await context.connect();
      const code = await forEachWord(words, reporter(context), async (word) => {
        const ref = await selfRef(session, word);
        const before = await session.read(ControlService.getNode, Ref.create({ ref }));
        const name = before.node?.node?.name ?? word;
        if (before.node?.node?.role === role) {
          context.io.out(`Node ${name} is already a ${noun}.\n`);
          return;
        }
        const request = UpdateNodeRequest.create({ ref, role, hasRole: true });
        await session.write(ControlService.updateNode, request);
        context.io.out(`Node ${name} ${done} ${noun}.\n`);
      });
      const managers = ListRequest.create({ filters: [{ key: 'role', value: 'manager' }] });
      warn(context, (await session.read(ControlService.listNodes, managers)).warnings);
      return code;
    },
  };
}
