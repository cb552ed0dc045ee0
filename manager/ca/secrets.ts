import { Certificate, ClusterSecrets, Role } from '../../proto/index.ts';
import type { Random } from '../../shared/random.ts';
import type { Subject } from '../../shared/tls/subject.ts';
import { formatToken, rootDigest } from '../../shared/tls/token.ts';
import { CLUSTER_KEY } from '../store/schema.ts';
import { issue, makeRoot, newSerial, type Root, validityFrom } from './certificate.ts';

/** The cluster's secrets: its root and the secret halves of its join tokens. */

const ALPHABET = '0123456789abcdefghijklmnopqrstuvwxyz';
const SECRET_CHARS = 25;

export function newTokenSecret(random: Random): string {
  let secret = '';
  for (let i = 0; i < SECRET_CHARS; i++) secret += ALPHABET[random.below(ALPHABET.length)];
  return secret;
}

/** What `init` puts into the first state of a cluster. */
export async function newClusterSecrets(
  clusterId: string,
  wallMs: number,
  random: Random,
): Promise<ClusterSecrets> {
  const root = await makeRoot(clusterId, wallMs, random);
  return ClusterSecrets.create({
    id: CLUSTER_KEY,
    rootCertificate: Buffer.from(root.certificatePem),
    rootKey: Buffer.from(root.keyPem),
    workerTokenSecret: newTokenSecret(random),
    managerTokenSecret: newTokenSecret(random),
    featureLevel: 1,
    epoch: 1,
  });
}

export function rootOf(secrets: ClusterSecrets): Root {
  return {
    certificatePem: Buffer.from(secrets.rootCertificate).toString('utf8'),
    keyPem: Buffer.from(secrets.rootKey).toString('utf8'),
  };
}

/** The join token for a role, as users copy it. */
export function joinToken(secrets: ClusterSecrets, role: Role): string {
  return formatToken({
    rootDigest: rootDigest(rootOf(secrets).certificatePem),
    secret: role === Role.MANAGER ? secrets.managerTokenSecret : secrets.workerTokenSecret,
  });
}

export interface Issued {
  readonly certificatePem: string;
  readonly row: Certificate;
}

/** Signs a certificate for a node and makes the row that remembers it. `lifeMs` from now. */
export function issueFor(
  secrets: ClusterSecrets,
  subject: Subject,
  spki: Uint8Array,
  lifeMs: number,
  wallMs: number,
  random: Random,
): Issued {
  const serial = newSerial(random);
  const validity = validityFrom(wallMs, lifeMs);
  return {
    certificatePem: issue(rootOf(secrets), subject, spki, serial, validity),
    row: Certificate.create({
      id: subject.nodeId,
      role: subject.role,
      publicKey: spki,
      serial,
      notAfterWallMs: validity.notAfterWallMs,
    }),
  };
}
