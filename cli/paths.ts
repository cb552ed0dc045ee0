import { homedir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { SwarmError } from '../shared/errors.ts';
import { readUpMarker, upDirOf } from './clone/marker.ts';
import type { Globals } from './context.ts';
import { devDirOf, readDevMarker } from './dev/marker.ts';
import type { Installation } from './installation.ts';
import type { Environment } from './parse/env.ts';

export const SYSTEM_SOCKET = '/run/swarm/swarm.sock';
const SYSTEM_STATE_DIR = '/var/lib/swarm';

/** What decides which daemon is meant. */
export interface Surroundings {
  readonly env: Environment;
  readonly uid: number;
  readonly installation: Installation;
}

/** Sockets to try in order. `chosen`: this one is meant, so no other may answer in its place. */
export interface SocketCandidate {
  readonly path: string;
  readonly chosen: boolean;
  readonly why: string;
  /** The command that makes it answer again. */
  readonly start: string;
}

function homeOf(env: Environment): string {
  return env['HOME'] || homedir();
}

export function stateDirOf({ env, uid }: Surroundings, given?: string): string {
  const chosen = given ?? env['SWARM_STATE_DIR'];
  if (chosen !== undefined && chosen !== '') return resolve(chosen);
  return uid === 0 ? SYSTEM_STATE_DIR : join(homeOf(env), '.local', 'share', 'swarm');
}

/** The daemon that `init`, `join` and `start` speak to or start. */
export function ownSocket(at: Surroundings, globals: Globals, stateDirGiven?: string): string {
  const { env, uid } = at;
  if (globals.socket !== undefined) return resolve(globals.socket);
  if (globals.via !== undefined) return viaSocket(at, globals.via);
  if (stateDirGiven !== undefined) return join(resolve(stateDirGiven), 'swarm.sock');
  if (env['SWARM_SOCKET']) return resolve(env['SWARM_SOCKET']);
  if (env['SWARM_STATE_DIR']) return join(resolve(env['SWARM_STATE_DIR']), 'swarm.sock');
  return uid === 0 ? SYSTEM_SOCKET : join(stateDirOf(at), 'swarm.sock');
}

/** `--socket`, `--via`, SWARM_SOCKET, this clone's `npm run up` cluster, the system's, one's own. */
export function socketCandidates(at: Surroundings, globals: Globals): readonly SocketCandidate[] {
  const { env } = at;
  const only = (path: string, why: string, start = START) => [{ path, chosen: true, why, start }];
  if (globals.socket !== undefined) return only(resolve(globals.socket), '--socket');
  if (globals.via !== undefined)
    return only(viaSocket(at, globals.via), `--via ${globals.via}`, startOfVia(globals.via));
  if (env['SWARM_SOCKET']) return only(resolve(env['SWARM_SOCKET']), 'SWARM_SOCKET');
  // What is typed for a cluster to try things out never reaches another because that one is stopped.
  const up = upSocket(at.installation);
  if (up !== undefined) return only(up, 'the `npm run up` cluster of this clone', 'npm run up');
  const out: SocketCandidate[] = [];
  const add = (path: string, why: string) => {
    if (!out.some((candidate) => candidate.path === path))
      out.push({ path, chosen: false, why, start: START });
  };
  if (env['SWARM_STATE_DIR'])
    add(join(resolve(env['SWARM_STATE_DIR']), 'swarm.sock'), 'SWARM_STATE_DIR');
  add(SYSTEM_SOCKET, "this machine's daemon");
  add(join(homeOf(env), '.local', 'share', 'swarm', 'swarm.sock'), 'your own daemon');
  return out;
}

const START = 'swarm start';

/** What starts the node of `--via NODE` or `--via DIR/NODE` again. */
export function startOfVia(via: string): string {
  const dir = via.includes('/') ? ` --dir ${dirname(via)}` : '';
  return `swarm dev start${dir} ${basename(via)}`;
}

/** The socket that `npm run up` of this clone wrote down, if there is such a cluster. */
export function upSocket(installation: Installation): string | undefined {
  return installation.isClone ? readUpMarker(upDirOf(installation))?.socket : undefined;
}

/** `--via m1`, or `--via DIR/m1` for a cluster that `swarm dev up --dir DIR` made. */
function viaSocket(at: Surroundings, via: string): string {
  const dir = via.includes('/') ? resolve(dirname(via)) : devDirOf(at);
  const name = basename(via);
  const marker = readDevMarker(dir);
  const node = marker?.nodes.find((candidate) => candidate.name === name);
  if (node !== undefined) return node.socket;
  const known = marker?.nodes.map((candidate) => candidate.name).join(', ');
  throw new SwarmError(
    'NOT_FOUND',
    known === undefined
      ? `There is no \`swarm dev\` cluster in ${dir}.`
      : `The \`swarm dev\` cluster in ${dir} has no node ${name}, only ${known}.`,
    { advice: 'swarm dev ls lists its nodes.', command: 'swarm dev up --managers 3 --workers 2' },
  );
}
