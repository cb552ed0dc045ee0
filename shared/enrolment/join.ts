import { type Availability, CaService, type Role } from '../../proto/index.ts';
import type { Clock } from '../clock.ts';
import { SwarmError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import { dial } from '../rpc/client.ts';
import type { Client } from '../rpc/rpc.ts';
import { anonymousSecurity, untrustedSecurity } from '../tls/channel-security.ts';
import { makeCsr } from '../tls/csr.ts';
import { type Identity, makeIdentity } from '../tls/identity.ts';
import { parseToken, rootDigest } from '../tls/token.ts';

export interface JoinOptions {
  /** host:port of managers, tried in order. */
  readonly managers: readonly string[];
  readonly token: string;
  /** PKCS #8 PEM. With the same key a join that was cut off goes on as the same node. */
  readonly keyPem: string;
  readonly hostname: string;
  readonly availability: Availability;
}

export interface Joined {
  readonly identity: Identity;
  readonly nodeId: string;
  readonly clusterId: string;
  readonly role: Role;
  /** host:port of all managers, as the cluster knows them. */
  readonly managers: readonly string[];
}

/**
 * Becomes a node of a cluster: fetches the root without trust, compares it with the token's digest,
 * then says the token to whoever that root vouches for. Throws the last manager's error.
 */
export async function joinCluster(options: JoinOptions, clock: Clock): Promise<Joined> {
  const { rootDigest: expected } = parseToken(options.token);
  if (options.managers.length === 0) {
    throw new SwarmError('INVALID_ARGUMENT', 'Name a manager to join: HOST:PORT.');
  }
  let last: unknown;
  for (const address of options.managers) {
    try {
      const rootPem = await fetchRoot(address, expected);
      return await requestIdentity(address, rootPem, options, clock);
    } catch (error) {
      last = error;
      if (SwarmError.is(error) && error.code === 'UNAUTHENTICATED') throw error;
    }
  }
  throw last;
}

async function fetchRoot(address: string, expected: string): Promise<string> {
  return withClient(dial(address, { tls: untrustedSecurity(), ownConnection: true }), async (c) => {
    const answer = await c.unary(CaService.getRoot, {}, { timeoutMs: LIMITS.joinDeadlineMs });
    const rootPem = Buffer.from(answer.rootCertificate).toString('utf8');
    if (rootDigest(rootPem) === expected) return rootPem;
    throw new SwarmError('UNAUTHENTICATED', `The join token is not of the cluster at ${address}.`, {
      advice: 'Ask a manager of the cluster you mean for its token, and check the address.',
      command: 'swarm join-token worker',
    });
  });
}

async function requestIdentity(
  address: string,
  rootPem: string,
  options: JoinOptions,
  clock: Clock,
): Promise<Joined> {
  const security = anonymousSecurity(rootPem);
  return withClient(dial(address, { tls: security, ownConnection: true }), async (client) => {
    const answer = await client.unary(
      CaService.issueCertificate,
      {
        csr: makeCsr(options.keyPem),
        token: options.token.trim(),
        hostname: options.hostname,
        availability: options.availability,
        clientWallMs: clock.wallMs(),
      },
      { timeoutMs: LIMITS.joinDeadlineMs },
    );
    const certificatePem = Buffer.from(answer.certificate).toString('utf8');
    return {
      identity: makeIdentity(certificatePem, options.keyPem, rootPem),
      nodeId: answer.nodeId,
      clusterId: answer.clusterId,
      role: answer.role,
      managers: answer.managers,
    };
  });
}

async function withClient<R>(client: Client, use: (client: Client) => Promise<R>): Promise<R> {
  try {
    return await use(client);
  } finally {
    client.close();
  }
}
