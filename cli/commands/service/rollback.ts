import { ControlService, RollbackServiceRequest } from '../../../proto/index.ts';
import type { Verb } from '../../command.ts';
import type { Context } from '../../context.ts';
import { parseWhole } from '../../parse/number.ts';
import type { Flags } from '../../spec/flags.ts';
import { declareConverge, waiter } from './converge.ts';

export const rollback: Verb = {
  declare(command) {
    declareConverge(command.argument('<SERVICE>')).option(
      '--to <N>',
      'Revision (default: the one before; swarm service history lists them)',
    );
  },
  async run(context, words, flags) {
    const to = flags.or('to', 0, (flag, text) => parseWhole(flag, text, 1));
    return rollBack(context, words[0]!, to, flags);
  },
};

/** Goes back to revision `to`; 0 is the one before. */
export async function rollBack(
  context: Context,
  ref: string,
  to: number,
  flags: Flags,
): Promise<number> {
  const wait = waiter(context, flags);
  const session = await context.connect();
  const view = await session.write(
    ControlService.rollbackService,
    RollbackServiceRequest.create({ ref, toRevision: to }),
  );
  const service = view.service!;
  context.io.out(`${service.spec?.name}\n`);
  return wait(view);
}
