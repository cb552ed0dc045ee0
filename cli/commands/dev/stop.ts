import type { Verb } from '../../command.ts';
import { stopDevNode } from '../../dev/end.ts';
import { requireDevNode } from '../../dev/marker.ts';
import { reporter } from '../report.ts';
import { forEachNamed } from '../shared-options.ts';
import { declareDir, dirOf } from './options.ts';

export const stop: Verb = {
  declare(command) {
    declareDir(command.argument('<NODE...>')).option('--with-tasks', 'End its tasks too');
  },
  async run(context, words, flags) {
    const dir = dirOf(context, flags);
    return forEachNamed(words, reporter(context), async (name) => {
      await stopDevNode(context, requireDevNode(dir, name), flags.is('with-tasks'));
      context.io.out(`${name} stopped.\n`);
    });
  },
};
