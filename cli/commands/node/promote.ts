import { ControlService, ListRequest, Role, UpdateNodeRequest } from '../../../proto/index.ts';
import type { Verb } from '../../command.ts';
import { warn } from '../../output/warning.ts';
import { reporter } from '../report.ts';
import { forEachWord } from '../shared-options.ts';
import { selfRef } from './self.ts';

export const promote: Verb = roleVerb(Role.MANAGER, 'promoted to manager');
export const demote: Verb = roleVerb(Role.WORKER, 'demoted to worker');

/** Writes the wish; `swarm node ls` shows each step until it is carried out. */
function roleVerb(role: Role, done: string): Verb {
  return {
    declare(command) {
      command.argument('<NODE...>');
    },
    async run(context, words) {
      const session = await context.connect();
      const code = await forEachWord(words, reporter(context), async (word) => {
        const ref = await selfRef(session, word);
        const request = UpdateNodeRequest.create({ ref, role, hasRole: true });
        const view = await session.write(ControlService.updateNode, request);
        context.io.out(`Node ${view.node?.name ?? word} ${done}.\n`);
      });
      const managers = ListRequest.create({ filters: [{ key: 'role', value: 'manager' }] });
      warn(context, (await session.read(ControlService.listNodes, managers)).warnings);
      return code;
    },
  };
}
