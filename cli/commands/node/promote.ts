import {
  ControlService,
  ListRequest,
  type Node,
  Ref,
  Role,
  UpdateNodeRequest,
} from '../../../proto/index.ts';
import type { Verb } from '../../command.ts';
import type { Context } from '../../context.ts';
import { warn } from '../../output/warning.ts';
import type { Session } from '../../session.ts';
import { reporter } from '../report.ts';
import { forEachNamed } from '../shared-options.ts';
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
      const report = reporter(context);
      const own = words.length > 1 ? await selfRef(session, 'self') : '';
      const nodes = new Map<string, Node>();
      const unknown = await forEachNamed(words, report, async (word) => {
        const ref = Ref.create({ ref: await selfRef(session, word) });
        const { node } = (await session.read(ControlService.getNode, ref)).node!;
        nodes.set(node!.id, node!);
      });
      // As a worker it answers no more: the node that answers comes last.
      const ids = [...nodes.keys()].sort((a, b) => Number(a === own) - Number(b === own));
      const failed = await forEachNamed(ids, report, async (id) => {
        const { name, role: before } = nodes.get(id)!;
        if (before === role) {
          context.io.out(`Node ${name} is already a ${noun}.\n`);
          return;
        }
        const request = UpdateNodeRequest.create({ ref: id, role, hasRole: true });
        await session.write(ControlService.updateNode, request);
        context.io.out(`Node ${name} ${done} ${noun}.\n`);
      });
      await warnOfCount(context, session);
      return unknown || failed;
    },
  };
}

/** How many managers are left is only a hint: none where its own daemon has just become a worker. */
async function warnOfCount(context: Context, session: Session): Promise<void> {
  const managers = ListRequest.create({ filters: [{ key: 'role', value: 'manager' }] });
  const answer = await session.read(ControlService.listNodes, managers).catch(() => undefined);
  warn(context, answer?.warnings ?? []);
}
