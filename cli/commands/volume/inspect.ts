import { NodeVolume, type VolumeView } from '../../../proto/index.ts';
import type { Verb } from '../../command.ts';
import { oneVolume, parsePlace, volumesAt } from '../../volume-place.ts';
import { declareInspect, printInspect } from '../shared-options.ts';

export const inspect: Verb = {
  declare(command) {
    declareInspect(
      command.argument('<VOLUME...>', 'Name, on all nodes that have it, or NODE:NAME'),
    );
  },
  async run(context, words, flags) {
    const session = await context.connect();
    const objects: unknown[] = [];
    for (const word of words) {
      const place = parsePlace(word);
      const found = await volumesAt(session, place);
      // For its error, where there is none.
      if (found.length === 0) await oneVolume(session, place);
      objects.push(...found.map(flat));
    }
    printInspect(context, objects, flags);
  },
};

/** In Docker's words, with the node beside. */
function flat({ volume, nodeId, nodeName, tasks, services }: VolumeView): unknown {
  const { name, labels, options, path, createdWallMs } = volume ?? NodeVolume.create();
  return {
    name,
    driver: 'local',
    scope: 'local',
    mountpoint: path,
    createdAt: new Date(createdWallMs).toISOString(),
    labels,
    options,
    node: { id: nodeId, name: nodeName },
    tasks,
    services,
  };
}
