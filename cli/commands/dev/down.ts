import { readdirSync, rmdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Verb } from '../../command.ts';
import { endDevNode } from '../../dev/end.ts';
import { DEV_MARKER, requireDevMarker } from '../../dev/marker.ts';
import { releaseNetworks } from '../../dev/networks.ts';
import { declareDir, dirOf } from './options.ts';

export const down: Verb = {
  declare(command) {
    declareDir(command);
  },
  async run(context, _words, flags) {
    const dir = dirOf(context, flags);
    const { nodes } = requireDevMarker(dir);
    // Workers first: they hand in what their tasks end with while there are managers.
    for (const node of [...nodes].reverse()) {
      await endDevNode(context, dir, node);
      rmSync(node.stateDir, { recursive: true, force: true });
      if (dirname(node.socket) !== node.stateDir) removeSocket(node.socket);
      context.io.err(`${node.name} ended\n`);
    }
    rmSync(join(dir, DEV_MARKER), { force: true });
    releaseNetworks(context.io, dir);
    if (readdirSync(dir).length === 0) rmdirSync(dir);
    context.io.out(`The cluster in ${dir} is gone.\n`);
  },
};

/** A socket in a folder of our own, which goes with its last one. */
function removeSocket(path: string): void {
  rmSync(path, { force: true });
  if (readdirSync(dirname(path)).length === 0) rmdirSync(dirname(path));
}
