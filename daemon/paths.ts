import { join } from 'node:path';

/** What lies where in a node's state directory. */
export interface NodePaths {
  readonly identity: string;
  /** The key of a join that has not been answered yet: the same node goes on after a kill. */
  readonly joinKey: string;
  readonly raft: string;
  /** Parts of images that a manager keeps. */
  readonly images: string;
  /** WireGuard keys of encrypted networks. */
  readonly tunnelKeys: string;
  readonly netdSocket: string;
}

export function nodePaths(stateDir: string): NodePaths {
  return {
    identity: join(stateDir, 'identity.pem'),
    joinKey: join(stateDir, 'join.key'),
    raft: join(stateDir, 'raft'),
    images: join(stateDir, 'images'),
    tunnelKeys: join(stateDir, 'tunnel'),
    netdSocket: join(stateDir, 'netd.sock'),
  };
}
