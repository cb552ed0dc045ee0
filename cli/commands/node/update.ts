import { Availability, ControlService, Role, UpdateNodeRequest } from '../../../proto/index.ts';
import { SwarmError } from '../../../shared/errors.ts';
import type { Verb } from '../../command.ts';
import { parseLabels } from '../../parse/key-value.ts';
import { parseWord } from '../../parse/words.ts';
import { collect } from '../../spec/declare-options.ts';
import type { Flags } from '../../spec/flags.ts';
import { selfRef } from './self.ts';

export const AVAILABILITIES: { readonly [word: string]: Availability } = {
  active: Availability.ACTIVE,
  pause: Availability.PAUSE,
  drain: Availability.DRAIN,
};
const ROLES: { readonly [word: string]: Role } = { worker: Role.WORKER, manager: Role.MANAGER };
const RUNTIMES: { readonly [word: string]: string } = {
  containerd: 'containerd',
  process: 'process',
  any: '',
};

export const update: Verb = {
  declare(command) {
    command
      .argument('<NODE>')
      .option('--availability <WORD>', 'active, pause or drain')
      .option('--role <ROLE>', 'worker or manager')
      .option('--runtime <WORD>', 'What it runs: containerd, process, or any (all that it has)')
      .option('--label-add <KEY=VALUE>', 'Label to add or change', collect)
      .option('--label-rm <KEY>', 'Label to remove', collect);
  },
  async run(context, words, flags) {
    const request = updateRequest('', flags);
    const session = await context.connect();
    const ref = await selfRef(session, words[0]!);
    const view = await session.write(
      ControlService.updateNode,
      UpdateNodeRequest.with(request, { ref }),
    );
    context.io.out(`${view.node?.name ?? words[0]}\n`);
  },
};

function updateRequest(ref: string, flags: Flags): UpdateNodeRequest {
  const names = ['availability', 'role', 'runtime', 'label-add', 'label-rm'];
  if (!flags.has(...names)) {
    throw new SwarmError('INVALID_ARGUMENT', 'There is nothing to change.', {
      advice: `Give one of ${names.map((name) => `--${name}`).join(', ')}.`,
      command: 'swarm node update --availability drain NODE',
    });
  }
  return UpdateNodeRequest.create({
    ref,
    labelAdd: parseLabels('--label-add', flags.list('label-add')),
    labelRm: flags.list('label-rm'),
    availability: flags.or<Availability>('availability', Availability.ACTIVE, (f, t) =>
      parseWord(f, t, AVAILABILITIES),
    ),
    hasAvailability: flags.has('availability'),
    role: flags.or<Role>('role', Role.WORKER, (f, t) => parseWord(f, t, ROLES)),
    hasRole: flags.has('role'),
    runtime: flags.or<string>('runtime', '', (f, t) => parseWord(f, t, RUNTIMES)),
    hasRuntime: flags.has('runtime'),
  });
}
