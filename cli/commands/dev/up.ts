import type { Verb } from '../../command.ts';
import { formCluster, startDevNode, waitUntilReady } from '../../dev/cluster.ts';
import { readDevMarker, writeDevMarker } from '../../dev/marker.ts';
import { planDevNodes } from '../../dev/plan.ts';
import { quantity } from '../../output/quantity.ts';
import { parseWhole } from '../../parse/number.ts';
import { declareDir, dirOf } from './options.ts';

export const up: Verb = {
  declare(command) {
    command
      .option('--managers <N>', 'Managers (default 3)')
      .option('--workers <N>', 'Workers (default 2)');
    declareDir(command);
  },
  async run(context, _words, flags) {
    const dir = dirOf(context, flags);
    const managers = flags.or('managers', 3, (f, t) => parseWhole(f, t, 1, 254));
    const workers = flags.or('workers', 2, (f, t) => parseWhole(f, t, 0, 253));
    let marker = readDevMarker(dir);
    if (marker === undefined) {
      marker = { kind: 'swarm-dev', nodes: await planDevNodes(dir, managers, workers, context.io) };
      writeDevMarker(dir, marker);
    } else context.io.err(`There is a cluster in ${dir} already: starting what is stopped.\n`);
    if (context.io.uid === 0) {
      context.io.err(
        'You are root: these nodes run with --allow-process, for this cluster alone.\n',
      );
    }
    const nodes = await Promise.all(marker.nodes.map((node) => startDevNode(context, dir, node)));
    await formCluster(context, nodes);
    await waitUntilReady(context, nodes);
    const via = flags.has('dir') ? `${dir}/m1` : 'm1';
    const here = flags.has('dir') ? ` --dir ${dir}` : '';
    context.io.out(
      `A cluster of ${quantity(nodes.length, 'node')} runs in ${dir}.\n` +
        `  swarm --via ${via} node ls\n` +
        `  swarm dev kill w1${here}      (and start w1)\n` +
        `  swarm dev down${here}\n`,
    );
  },
};
