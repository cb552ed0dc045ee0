import type { Verb } from '../../command.ts';
import { startDevNode } from '../../dev/cluster.ts';
import { requireDevNode } from '../../dev/marker.ts';
import { reporter } from '../report.ts';
import { forEachNamed } from '../shared-options.ts';
import { declareDir, dirOf } from './options.ts';

export const start: Verb = {
  declare(command) {
    declareDir(command.argument('<NODE...>'));
  },
  async run(context, words, flags) {
    const dir = dirOf(context, flags);
    return forEachNamed(words, reporter(context), async (name) => {
      const node = await startDevNode(context, dir, requireDevNode(dir, name));
      context.io.out(`${name} runs (pid ${node.pid}).\n`);
    });
  },
};
