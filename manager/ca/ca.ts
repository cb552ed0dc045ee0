import {
  type CaService,
  type Certificate,
  Certificate as CertificateCodec,
  type ClusterSecrets,
  ClusterSecrets as ClusterSecretsCodec,
  type IssueCertificateRequest,
  Liveness,
  Node,
  NodeStatus,
  type RenewCertificateRequest,
  Role,
} from '../../proto/index.ts';
import type { Clock } from '../../shared/clock.ts';
import { SwarmError } from '../../shared/errors.ts';
import { DEFAULTS, LIMITS } from '../../shared/limits.ts';
import type { Random } from '../../shared/random.ts';
import type { Handlers } from '../../shared/rpc/rpc.ts';
import { csrPublicKey, publicKeyOf, renewalBytes, signedBy } from '../../shared/tls/csr.ts';
import { type Identity, makeIdentity } from '../../shared/tls/identity.ts';
import type { Subject } from '../../shared/tls/subject.ts';
import { parseToken, rootDigest, sameSecret } from '../../shared/tls/token.ts';
import { CLUSTER_KEY } from '../store/schema.ts';
import type { Draft, Store, UpdateOptions, View } from '../store/view.ts';
import { uniqueNodeName } from './node-name.ts';
import { Nonces } from './nonce.ts';
import { type Issued, issueFor, joinToken, newTokenSecret, rootOf } from './secrets.ts';

export interface CaDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  /** host:port of all managers. */
  managers(): readonly string[];
}

/**
 * The certificate authority. Every manager has one; what writes works on the leader alone and says
 * NOT_LEADER elsewhere (`forwarding` passes it on).
 */
export class Ca {
  readonly #deps: CaDeps;
  readonly handlers: Handlers<typeof CaService> = {
    getRoot: async () => {
      const secrets = this.#secrets();
      const clusterId = this.#clusterId(this.#deps.store.view);
      return { rootCertificate: secrets.rootCertificate, clusterId };
    },
    issueCertificate: (request) => this.#join(request),
    renewalNonce: async ({ nodeId }) => {
      this.#certificate(this.#deps.store.view, nodeId);
      const { clock, random } = this.#deps;
      return { nonce: this.#nonces().make(nodeId, clock.wallMs(), random.bytes(16)) };
    },
    renewCertificate: (request) => this.#renew(request),
  };

  constructor(deps: CaDeps) {
    this.#deps = deps;
  }

  /** The join token for `role`, as users copy it. */
  token(role: Role): string {
    return joinToken(this.#secrets(), role);
  }

  /** Makes the old token for `role` worthless: once, however often a call with one id is retried. */
  async rotateToken(
    role: Role,
    asked: Pick<UpdateOptions, 'requestId' | 'timeoutMs'> = {},
  ): Promise<void> {
    const secret = newTokenSecret(this.#deps.random);
    const field = role === Role.MANAGER ? 'managerTokenSecret' : 'workerTokenSecret';
    await this.#deps.store.update(
      (draft) => {
        const secrets = secretsOf(draft);
        draft.put('clusterSecrets', ClusterSecretsCodec.with(secrets, { [field]: secret }));
      },
      { writer: 'ca', ...asked },
    );
  }

  /**
   * A new certificate for this manager's own key, signed here: a manager holds the root key, so it
   * needs nobody, and a cluster whose certificates have all expired can start.
   */
  renewOwn(identity: Identity): Identity {
    const { store, clock, random } = this.#deps;
    const { role } = this.#certificate(store.view, identity.subject.nodeId);
    const subject: Subject = { ...identity.subject, role };
    const spki = publicKeyOf(identity.keyPem);
    const lifeMs = this.#lifeMs(store.view);
    const issued = issueFor(this.#secrets(), subject, spki, lifeMs, clock.wallMs(), random);
    return makeIdentity(
      issued.certificatePem,
      identity.keyPem,
      rootOf(this.#secrets()).certificatePem,
    );
  }

  async #join(request: IssueCertificateRequest): Promise<JoinAnswer> {
    this.#checkClock(request.clientWallMs);
    const role = this.#roleOf(request.token);
    const spki = csrPublicKey(request.csr);
    const issued = await this.#deps.store.update(
      (draft) => this.#issueIn(draft, role, spki, request),
      { writer: 'ca' },
    );
    return {
      nodeId: issued.row.id,
      certificate: Buffer.from(issued.certificatePem),
      rootCertificate: this.#secrets().rootCertificate,
      managers: this.#deps.managers(),
      role: issued.row.role,
      clusterId: this.#clusterId(this.#deps.store.view),
    };
  }

  #issueIn(draft: Draft, role: Role, spki: Buffer, request: IssueCertificateRequest): Issued {
    const { clock, random } = this.#deps;
    // The same key asks again: its first answer was lost. It stays one node.
    const before = rowWithKey(draft, spki);
    const nodeId = before?.id ?? draft.newId();
    const subject = { nodeId, role: before?.role ?? role, clusterId: this.#clusterId(draft) };
    const lifeMs = this.#lifeMs(draft);
    const issued = issueFor(secretsOf(draft), subject, spki, lifeMs, clock.wallMs(), random);
    draft.put('certificate', issued.row);
    if (!draft.table('node').has(nodeId)) putNode(draft, subject, request);
    return issued;
  }

  async #renew(request: RenewCertificateRequest): Promise<RenewAnswer> {
    const { store, clock, random } = this.#deps;
    const { nodeId, nonce, csr, signature } = request;
    if (!this.#nonces().valid(nonce, nodeId, clock.wallMs())) {
      throw new SwarmError('UNAUTHENTICATED', 'The nonce of this renewal is not valid any more.');
    }
    const spki = csrPublicKey(csr);
    const issued = await store.update(
      (draft) => {
        const row = this.#certificate(draft, nodeId);
        if (!signedBy(row.publicKey, renewalBytes(nonce, csr), signature)) {
          const message = `The renewal was not signed with the key of node ${nodeId}.`;
          throw new SwarmError('UNAUTHENTICATED', message);
        }
        const subject = { nodeId, role: row.role, clusterId: this.#clusterId(draft) };
        const lifeMs = this.#lifeMs(draft);
        const made = issueFor(secretsOf(draft), subject, spki, lifeMs, clock.wallMs(), random);
        draft.put('certificate', made.row);
        return made;
      },
      { writer: 'ca' },
    );
    return {
      certificate: Buffer.from(issued.certificatePem),
      rootCertificate: this.#secrets().rootCertificate,
      role: issued.row.role,
    };
  }

  /** The role that a token gives. Throws UNAUTHENTICATED; never repeats the token. */
  #roleOf(text: string): Role {
    const token = parseToken(text);
    const secrets = this.#secrets();
    if (!sameSecret(token.rootDigest, rootDigest(rootOf(secrets).certificatePem))) {
      throw new SwarmError('UNAUTHENTICATED', 'The join token is of another cluster.');
    }
    if (sameSecret(token.secret, secrets.managerTokenSecret)) return Role.MANAGER;
    if (sameSecret(token.secret, secrets.workerTokenSecret)) return Role.WORKER;
    throw new SwarmError('UNAUTHENTICATED', 'The join token is wrong, or was rotated.', {
      advice: 'Ask a manager for the present one.',
      command: 'swarm join-token worker',
    });
  }

  #checkClock(clientWallMs: number): void {
    const offMs = clientWallMs - this.#deps.clock.wallMs();
    if (clientWallMs === 0 || Math.abs(offMs) <= LIMITS.clockSkewMaxMs) return;
    const seconds = Math.round(Math.abs(offMs) / 1000);
    const side = offMs > 0 ? 'ahead of' : 'behind';
    throw new SwarmError(
      'PRECONDITION',
      `The clock of this machine is ${seconds} s ${side} the cluster's.`,
      { advice: 'Set it (timedatectl set-ntp true), then join again.' },
    );
  }

  #nonces(): Nonces {
    return new Nonces(rootOf(this.#secrets()).keyPem);
  }
  #secrets(): ClusterSecrets {
    return secretsOf(this.#deps.store.view);
  }
  #clusterId(view: View): string {
    return view.table('cluster').get(CLUSTER_KEY)?.clusterId ?? '';
  }
  #lifeMs(view: View): number {
    const spec = view.table('cluster').get(CLUSTER_KEY)?.spec;
    return spec?.certExpiryMs || DEFAULTS.certExpiryMs;
  }
  #certificate(view: View, nodeId: string): Certificate {
    const row = view.table('certificate').get(nodeId);
    if (row !== undefined) return row;
    throw new SwarmError('REMOVED', `Node ${nodeId} is not of this cluster any more.`);
  }
}

type JoinAnswer = Awaited<ReturnType<Handlers<typeof CaService>['issueCertificate']>>;
type RenewAnswer = Awaited<ReturnType<Handlers<typeof CaService>['renewCertificate']>>;

function secretsOf(view: View): ClusterSecrets {
  const secrets = view.table('clusterSecrets').get(CLUSTER_KEY);
  if (secrets !== undefined) return secrets;
  throw new SwarmError('NOT_LEADER', 'This manager does not have the state of its cluster yet.');
}

function rowWithKey(view: View, spki: Buffer): Certificate | undefined {
  for (const row of view.table('certificate').all()) {
    if (spki.equals(row.publicKey)) return row;
  }
  return undefined;
}

function putNode(draft: Draft, subject: Subject, request: IssueCertificateRequest): void {
  const id = subject.nodeId;
  const name = uniqueNodeName(draft, request.hostname);
  draft.put(
    'node',
    Node.create({
      id,
      name,
      role: subject.role,
      availability: request.availability,
      createdWallMs: draft.wallMs,
    }),
  );
  draft.put('nodeStatus', NodeStatus.create({ id, liveness: Liveness.UNKNOWN }));
  draft.emit({ kind: 'node', action: 'create', id, name, message: 'joined the cluster' });
}

/**
 * Changes the role that a node's certificates may carry. The node hears of it on its session and
 * renews its certificate; until then it has the lower one of both roles. Writer: roles/.
 */
export async function setCertificateRole(store: Store, nodeId: string, role: Role): Promise<void> {
  await store.update(
    (draft) => {
      const row = draft.table('certificate').get(nodeId);
      if (row === undefined) throw new SwarmError('REMOVED', `Node ${nodeId} has no certificate.`);
      if (row.role !== role) draft.put('certificate', CertificateCodec.with(row, { role }));
    },
    { writer: 'roles' },
  );
}
