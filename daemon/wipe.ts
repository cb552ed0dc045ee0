import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { ManagerPart } from './manager-part.ts';
import { nodePaths } from './paths.ts';

/** What the worker part and the node itself keep of a cluster, in the state directory. */
const OF_THE_CLUSTER = [
  'node.json',
  'tasks',
  'run',
  'work',
  'containers',
  'position',
  'network',
  'managers.json',
];

/** Forgets the cluster. Logs of tasks, volumes and the daemon's own log stay. */
export async function wipeNode(stateDir: string): Promise<void> {
  const paths = nodePaths(stateDir);
  const own = [paths.identity, paths.tunnelKeys];
  for (const path of [...OF_THE_CLUSTER.map((name) => join(stateDir, name)), ...own])
    rmSync(path, { recursive: true, force: true });
  await ManagerPart.wipe(paths);
}
