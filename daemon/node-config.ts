import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { SwarmError } from '../shared/errors.ts';
import type { Addresses } from './address.ts';
import type { Offer } from './offer.ts';

/** What this node was told at `init` or `join` and keeps over restarts: `node.json`. */
export interface NodeConfig {
  readonly nodeName: string;
  /** host:port on which the manager part listens, once this node is a manager. */
  readonly listenAddress: string;
  readonly advertiseAddress: string;
  /** Address on which published ports and task ports answer. */
  readonly publishAddress: string;
  /** Nobody gave that address: where the kernel carries published ports, all of this node's answer. */
  readonly publishesEverywhere?: boolean;
  /** Address for traffic between containers of different nodes; absent: the advertised one. */
  readonly dataPathAddress?: string;
  readonly allowProcess: boolean;
  /** What services may have of this machine; absent: nothing. */
  readonly offer?: Offer;
  readonly managers: readonly string[];
  /** Nobody gave the advertised address: it is found anew when this machine does not have it any more. */
  readonly detectedAddress?: boolean;
}

/** The configuration of a node that enters a cluster. */
export function makeConfig(
  addresses: Addresses,
  nodeName: string,
  allowProcess: boolean,
  managers: readonly string[],
  offer: Offer,
): NodeConfig {
  return {
    nodeName,
    listenAddress: addresses.listen,
    advertiseAddress: addresses.advertise,
    publishAddress: addresses.publish,
    publishesEverywhere: addresses.publishesEverywhere,
    ...(addresses.dataPath === '' ? {} : { dataPathAddress: addresses.dataPath }),
    allowProcess,
    managers,
    offer,
    detectedAddress: addresses.detected,
  };
}

export function readNodeConfig(stateDir: string): NodeConfig | undefined {
  const path = join(stateDir, 'node.json');
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new SwarmError('STATE_DIR', `${path} cannot be read`, { cause: error });
  }
  try {
    return JSON.parse(text) as NodeConfig;
  } catch (error) {
    throw new SwarmError('STATE_DIR', `${path} is damaged`, {
      cause: error,
      advice: 'Restore it from a backup, or run: swarm leave --force, then join again.',
    });
  }
}

export function writeNodeConfig(stateDir: string, config: NodeConfig): void {
  writeFileDurably(join(stateDir, 'node.json'), `${JSON.stringify(config, null, 2)}\n`);
}

/** The whole file or the old one, also after a crash; mode 0600. */
function writeFileDurably(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const temporary = `${path}.${process.pid}.tmp`;
  const fd = openSync(temporary, 'w', 0o600);
  try {
    writeSync(fd, text);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(temporary, path);
  const directory = openSync(dirname(path), 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}
