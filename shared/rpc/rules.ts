import { Role } from '../../proto/index.ts';
import { SwarmError } from '../errors.ts';
import type { Peer } from './rpc.ts';

/**
 * Who may call what. Every RPC of every service is named here; one that is not is refused. A test
 * walks the generated definitions.
 */
export interface Rule {
  /** `anonymous`: everybody. `worker`: every node of the cluster. `manager`: managers alone. */
  readonly callers: readonly Caller[];
  /** The node that the request (the first message of a stream) speaks for: it must be the caller. */
  readonly self?: (message: unknown) => string | undefined;
  /** A node that was removed gets through: the handler gives it a typed answer. */
  readonly removedToo?: true;
  /**
   * What brings a manager up to date. One that is behind has older rows than the caller's certificate,
   * and refusing it would keep them old: the certificate alone counts then.
   */
  readonly behindToo?: true;
}
export type Caller = 'anonymous' | 'worker' | 'manager' | 'local';

/** What the cluster's state knows of a node. `removed`: of this cluster once, not any more. */
export interface Authorizer {
  nodeRole(nodeId: string): Role | undefined | 'removed';
  /** True while its rows may be older than the caller's certificate; absent: never. */
  isBehind?(): boolean;
}

const LOCAL: Rule = { callers: ['local'] };
const ADMIN: Rule = { callers: ['local', 'manager'] };
const MANAGER: Rule = { callers: ['manager'] };
const MEMBER: Rule = { ...MANAGER, behindToo: true };
const ANONYMOUS: Rule = { callers: ['anonymous'] };
const NODE: Rule = { callers: ['worker'] };

export const RULES: { readonly [path: string]: Rule } = {
  '/swarm.v1.Ca/GetRoot': ANONYMOUS,
  '/swarm.v1.Ca/IssueCertificate': ANONYMOUS,
  '/swarm.v1.Ca/RenewalNonce': ANONYMOUS,
  '/swarm.v1.Ca/RenewCertificate': ANONYMOUS,
  '/swarm.v1.Dispatcher/Session': { ...NODE, self: helloNode, removedToo: true },
  '/swarm.v1.Dispatcher/Stream': NODE,
  '/swarm.v1.Images/FetchBlob': NODE,
  '/swarm.v1.Images/CopyBlobs': MANAGER,
  '/swarm.v1.Raft/Control': MEMBER,
  '/swarm.v1.Raft/Append': MEMBER,
  '/swarm.v1.Raft/Snapshot': MEMBER,
  '/swarm.v1.Raft/JoinRaft': { ...MANAGER, self: (message) => stringField(message, 'nodeId') },
  ...all('Control', ADMIN, [
    'CreateService',
    'UpdateService',
    'ScaleService',
    'RollbackService',
    'RemoveService',
    'ListServices',
    'GetService',
    'WatchService',
    'ListTasks',
    'GetTask',
    'ListNodes',
    'GetNode',
    'UpdateNode',
    'RemoveNode',
    'CreateNetwork',
    'ListNetworks',
    'GetNetwork',
    'DiagnoseNetwork',
    'RemoveNetwork',
    'PruneNetworks',
    'GetCluster',
    'UpdateCluster',
    'JoinToken',
    'GetRaftStatus',
    'Why',
    'Events',
    'Logs',
    'LoginRegistry',
    'LogoutRegistry',
    'ListRegistries',
    'AddImage',
    'ListImages',
    'RemoveImage',
    'PruneImages',
    'ListVolumes',
    'TaskStream',
    'Usage',
  ]),
  ...all('Local', LOCAL, [
    'Info',
    'Init',
    'Join',
    'Leave',
    'Stop',
    'Tasks',
    'TaskLogs',
    'MissingBlobs',
    'UploadBlobs',
    'Backup',
    'Restore',
    'Recover',
    'Readdress',
  ]),
};

function all(service: string, rule: Rule, names: readonly string[]): { [path: string]: Rule } {
  return Object.fromEntries(names.map((name) => [`/swarm.v1.${service}/${name}`, rule]));
}

function helloNode(message: unknown): string | undefined {
  return stringField((message as { hello?: unknown }).hello, 'nodeId');
}

function stringField(message: unknown, name: string): string | undefined {
  if (typeof message !== 'object' || message === null) return undefined;
  const value = (message as { readonly [key: string]: unknown })[name];
  return typeof value === 'string' ? value : undefined;
}

/**
 * The peer as handlers may see it: a node's role is the lower one of its certificate and its row.
 * Throws UNAUTHENTICATED, FORBIDDEN or REMOVED.
 */
export function authorize(
  path: string,
  rule: Rule | undefined,
  peer: Peer,
  authorizer: Authorizer,
): Peer {
  if (rule === undefined) throw new SwarmError('FORBIDDEN', `Nobody may call ${path}.`);
  if (rule.callers.includes('anonymous')) return peer;
  switch (peer.kind) {
    case 'local':
      if (rule.callers.includes('local')) return peer;
      throw new SwarmError('FORBIDDEN', `${path} is not for the local socket.`);
    case 'anonymous':
      throw new SwarmError('UNAUTHENTICATED', `${path} needs a certificate of this cluster.`);
    case 'node':
      return authorizeNode(path, rule, peer, authorizer);
  }
}

function authorizeNode(
  path: string,
  rule: Rule,
  peer: Extract<Peer, { kind: 'node' }>,
  authorizer: Authorizer,
): Peer {
  const goesByCertificate = rule.behindToo === true && authorizer.isBehind?.() === true;
  const row = goesByCertificate ? peer.role : authorizer.nodeRole(peer.nodeId);
  if (row === undefined || row === 'removed') {
    if (rule.removedToo === true) return peer;
    if (row === 'removed') {
      throw new SwarmError('REMOVED', `Node ${peer.nodeId} was removed from the cluster.`);
    }
    throw new SwarmError('UNAUTHENTICATED', `Node ${peer.nodeId} is not known to this cluster.`);
  }
  const role = row === Role.MANAGER && peer.role === Role.MANAGER ? Role.MANAGER : Role.WORKER;
  if (rule.callers.includes('worker')) return { ...peer, role };
  if (rule.callers.includes('manager') && role === Role.MANAGER) return { ...peer, role };
  if (!rule.callers.includes('manager')) {
    throw new SwarmError('FORBIDDEN', `${path} is only for the local socket.`);
  }
  throw new SwarmError('FORBIDDEN', `Node ${peer.nodeId} is not a manager: ${path} is refused.`);
}

/** Refuses a message that speaks for another node than the caller. */
export function checkSelf(path: string, rule: Rule, peer: Peer, message: unknown): void {
  if (rule.self === undefined || peer.kind !== 'node') return;
  if (rule.self(message) === peer.nodeId) return;
  throw new SwarmError('FORBIDDEN', `Node ${peer.nodeId} may call ${path} only for itself.`);
}
