import { ControlService, Ref } from '../../../proto/index.ts';
import type { Verb } from '../../command.ts';

export const logout: Verb = {
  declare(command) {
    command.argument('[REGISTRY]', 'HOST[:PORT] (default docker.io)');
  },
  async run(context, [host = 'docker.io']) {
    const session = await context.connect();
    await session.write(ControlService.logoutRegistry, Ref.create({ ref: host }));
    context.io.out(`Logged out of ${host}.\n`);
    return undefined;
  },
};
