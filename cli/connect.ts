import { connect as connectSocket } from 'node:net';
import { SwarmError } from '../shared/errors.ts';
import { SystemIds } from '../shared/ids.ts';
import type { Consistency } from '../shared/rpc/rpc.ts';
import type { Globals } from './context.ts';
import { type SocketCandidate, type Surroundings, socketCandidates } from './paths.ts';
import { Session } from './session.ts';

export type SocketState = 'answers' | 'absent' | 'dead' | 'denied';

/** Connects to the daemon that is meant (see `socketCandidates`), or says why none answers. */
export async function connect(at: Surroundings, globals: Globals): Promise<Session> {
  const candidates = socketCandidates(at, globals);
  for (const candidate of candidates) {
    const state = await probeSocket(candidate.path);
    if (state === 'answers') return openSession(candidate.path, globals.consistency);
    if (state === 'denied') throw denied(candidate.path);
    if (candidate.chosen) throw noAnswer(candidate, state);
  }
  throw noDaemon(at, candidates);
}

/** A session on a socket of which it is known that a daemon listens there. gRPC is loaded here. */
export async function openSession(path: string, consistency?: Consistency): Promise<Session> {
  const { dial } = await import('../shared/rpc/client.ts');
  return new Session(path, dial(path), new SystemIds(), consistency);
}

/** Whether somebody listens on a socket: found out by connecting to it. */
export function probeSocket(path: string): Promise<SocketState> {
  return new Promise((resolve) => {
    const socket = connectSocket(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve('answers');
    });
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EACCES' || error.code === 'EPERM') resolve('denied');
      else resolve(error.code === 'ECONNREFUSED' ? 'dead' : 'absent');
    });
  });
}

function denied(path: string): SwarmError {
  return new SwarmError('FORBIDDEN', `You may not open the daemon's socket ${path}.`, {
    advice:
      'Run this as root, or let an administrator add you to the group swarm ' +
      '(whoever is in it administers the whole cluster), then log in again.',
    command: 'sudo usermod -aG swarm "$USER"',
  });
}

function noAnswer(candidate: SocketCandidate, state: SocketState): SwarmError {
  const why = state === 'dead' ? 'its daemon ended without tidying up' : 'there is no such socket';
  return new SwarmError(
    'NO_DAEMON',
    `No daemon answers on ${candidate.path} (${candidate.why}): ${why}.`,
    { advice: 'Start it again; --socket PATH chooses another daemon.', command: candidate.start },
  );
}

function noDaemon(at: Surroundings, candidates: readonly SocketCandidate[]): SwarmError {
  const tried = candidates.map((candidate) => `  ${candidate.path} (${candidate.why})`).join('\n');
  return new SwarmError('NO_DAEMON', `No swarm daemon answers on this machine. Tried:\n${tried}`, {
    advice: at.installation.isClone
      ? 'npm run up starts a cluster to try things out; swarm init makes a real one, ' +
        'swarm join joins one, swarm start starts the daemon of an existing node.'
      : 'swarm init makes a cluster, swarm join joins one, swarm start starts the daemon ' +
        'of an existing node.',
    command: at.installation.isClone ? 'npm run up' : 'swarm init',
  });
}
