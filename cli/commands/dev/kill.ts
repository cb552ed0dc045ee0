import type { Verb } from '../../command.ts';
import { killDevNode } from '../../dev/end.ts';
import { requireDevNode } from '../../dev/marker.ts';
import { reporter } from '../report.ts';
import { forEachNamed } from '../shared-options.ts';
import { declareDir, dirOf } from './options.ts';

export const kill: Verb = {
  declare(command) {
    declareDir(command.argument('<NODE...>')).option('--with-tasks', 'Kill its tasks too');
  },
  async run(context, words, flags) {
    const dir = dirOf(context, flags);
    return forEachNamed(words, reporter(context), async (name) => {
      const node = requireDevNode(dir, name);
      const ran = await killDevNode(context, node, flags.is('with-tasks'));
      context.io.out(ran ? `${name} killed (pid ${node.pid}).\n` : `${name} was not running.\n`);
    });
  },
};
