import { Empty, LocalService, VolumeAction } from '../../../proto/index.ts';
import { SwarmError } from '../../../shared/errors.ts';
import type { Verb } from '../../command.ts';
import type { Context } from '../../context.ts';
import { printable } from '../../output/printable.ts';
import { parseLabels } from '../../parse/key-value.ts';
import type { Session } from '../../session.ts';
import { collect } from '../../spec/declare-options.ts';
import { doWith, parsePlace, volumesAt } from '../../volume-place.ts';
import { reporter } from '../report.ts';
import { forEachNamed } from '../shared-options.ts';

export const create: Verb = {
  declare(command) {
    command
      .argument('<VOLUME>', 'Name, or NODE:NAME')
      .option('--node <NODE>', 'Make it there (default: the node that answers)', collect)
      .option('-d, --driver <DRIVER>', 'local (default)')
      .option('--label <KEY=VALUE>', 'Label', collect)
      .option('-o, --opt <KEY=VALUE>', 'type=tmpfs, o=size=64m,mode=1770', collect)
      .addHelpText(
        'after',
        '\nServices that mount a volume by name run where it is; one that is nowhere yet is made by ' +
          'the first task that mounts it.',
      );
  },
  async run(context, words, flags) {
    const { node, name } = parsePlace(words[0]!);
    const driver = flags.text('driver') ?? 'local';
    if (driver !== 'local')
      throw new SwarmError('UNSUPPORTED', `There is no volume driver ${driver}.`, {
        advice: 'Leave --driver out: local is the one there is.',
      });
    const given = [...(node === undefined ? [] : [node]), ...flags.list('node')];
    const session = await context.connect();
    const nodes = given.length > 0 ? given : [await answering(session)];
    const labels = parseLabels('--label', flags.list('label'));
    const options = parseLabels('--opt', flags.list('opt'));
    const action = VolumeAction.CREATE;
    const code = await forEachNamed(nodes, reporter(context), async (where) => {
      await doWith(session, where, { action, name, labels, options });
      context.io.out(`${name}\n`);
    });
    if (code === 0) await tellOthers(context, session, name, nodes.length);
    return code;
  },
};

async function answering(session: Session): Promise<string> {
  return (await session.read(LocalService.info, Empty.create())).nodeId;
}

/** A volume of the same name elsewhere is another one. */
async function tellOthers(
  context: Context,
  session: Session,
  name: string,
  made: number,
): Promise<void> {
  const found = await volumesAt(session, { node: undefined, name });
  if (found.length <= made) return;
  const nodes = found.map(({ nodeName }) => printable(nodeName)).join(', ');
  context.io.err(`Volumes of this name, each with contents of its own, are on ${nodes}.\n`);
}
