import { createHash, X509Certificate } from 'node:crypto';
import type { Random } from '../../shared/random.ts';
import { name, newKey, publicKeyOf, SIGNATURE_ALGORITHM, signWith } from '../../shared/tls/csr.ts';
import {
  bitStringBytes,
  bits,
  boolean,
  insideSequence,
  integer,
  octets,
  oid,
  pem,
  sequence,
  tagged,
  time,
} from '../../shared/tls/der.ts';
import { type Subject, subjectFields } from '../../shared/tls/subject.ts';

/** Certificates of the cluster: the root's own and those it signs. X.509 v3, ECDSA P-256. */

const ROOT_LIFE_MS = 20 * 365.25 * 24 * 3_600_000;
const BACKDATE_MAX_MS = 3_600_000;
const SERIAL_BYTES = 16;

export interface Root {
  readonly certificatePem: string;
  readonly keyPem: string;
}

export interface Validity {
  readonly notBeforeWallMs: number;
  readonly notAfterWallMs: number;
}

/** A new root CA, valid for 20 years. */
export async function makeRoot(clusterId: string, wallMs: number, random: Random): Promise<Root> {
  const keyPem = await newKey();
  const spki = publicKeyOf(keyPem);
  const subject = name({ CN: 'swarm-ca', O: clusterId });
  const der = signed(
    {
      serial: newSerial(random),
      issuer: subject,
      subject,
      validity: {
        notBeforeWallMs: wallMs - BACKDATE_MAX_MS,
        notAfterWallMs: wallMs + ROOT_LIFE_MS,
      },
      spki,
      extensions: [
        extension('2.5.29.19', true, sequence(boolean(true), integer(Buffer.from([0])))),
        extension('2.5.29.15', true, bits(Buffer.from([0x06]), 1)), // certificates, revocations
        extension('2.5.29.14', false, octets(keyId(spki))),
      ],
    },
    keyPem,
  );
  return { certificatePem: pem('CERTIFICATE', der), keyPem };
}

/** From a little before now, for clocks that are behind: an hour, or a tenth of a short life. */
export function validityFrom(wallMs: number, lifeMs: number): Validity {
  const backdateMs = Math.min(BACKDATE_MAX_MS, lifeMs / 10);
  return { notBeforeWallMs: wallMs - backdateMs, notAfterWallMs: wallMs + lifeMs };
}

/** Hex; positive whatever its first byte, and never short. */
export function newSerial(random: Random): string {
  const bytes = Buffer.from(random.bytes(SERIAL_BYTES));
  bytes[0] = 0x40 | ((bytes[0] ?? 0) & 0x3f);
  return bytes.toString('hex');
}

/** A node's certificate, PEM. The same input gives the same certificate but for its signature. */
export function issue(
  root: Root,
  subject: Subject,
  spki: Uint8Array,
  serial: string,
  validity: Validity,
): string {
  const rootCertificate = new X509Certificate(root.certificatePem);
  const der = signed(
    {
      serial,
      issuer: subjectOf(rootCertificate.raw),
      subject: name(subjectFields(subject)),
      validity,
      spki,
      extensions: [
        extension('2.5.29.19', true, sequence()),
        extension('2.5.29.15', true, bits(Buffer.from([0x80]), 7)), // digital signature
        extension('2.5.29.37', false, sequence(oid(SERVER_AUTH), oid(CLIENT_AUTH))),
        extension('2.5.29.14', false, octets(keyId(spki))),
        extension('2.5.29.35', false, sequence(tagged(0x80, keyId(publicKeyOf(root.keyPem))))),
      ],
    },
    root.keyPem,
  );
  return pem('CERTIFICATE', der);
}

const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';

interface Fields {
  readonly serial: string;
  readonly issuer: Buffer;
  readonly subject: Buffer;
  readonly validity: Validity;
  readonly spki: Uint8Array;
  readonly extensions: readonly Buffer[];
}

function signed(fields: Fields, signerKeyPem: string): Buffer {
  const { notBeforeWallMs, notAfterWallMs } = fields.validity;
  const body = sequence(
    tagged(0xa0, integer(Buffer.from([2]))), // version 3
    integer(Buffer.from(fields.serial, 'hex')),
    SIGNATURE_ALGORITHM,
    fields.issuer,
    sequence(time(notBeforeWallMs), time(notAfterWallMs)),
    fields.subject,
    fields.spki,
    tagged(0xa3, sequence(...fields.extensions)),
  );
  return sequence(body, SIGNATURE_ALGORITHM, bits(signWith(signerKeyPem, body)));
}

function extension(id: string, critical: boolean, value: Buffer): Buffer {
  return sequence(oid(id), ...(critical ? [boolean(true)] : []), octets(value));
}

function keyId(spki: Uint8Array): Buffer {
  const key = bitStringBytes(insideSequence(Buffer.from(spki))[1]);
  return createHash('sha1').update(key).digest();
}

/** The subject's bytes as they stand in a certificate: an issuer must repeat them exactly. */
function subjectOf(certificateDer: Buffer): Buffer {
  const body = insideSequence(certificateDer)[0];
  const subject = body === undefined ? undefined : insideSequence(body.whole)[5];
  if (subject === undefined) throw new Error('a root certificate without a subject');
  return subject.whole;
}
