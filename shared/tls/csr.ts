import {
  createPrivateKey,
  createPublicKey,
  generateKeyPair,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto';
import { promisify } from 'node:util';
import { SwarmError } from '../errors.ts';
import {
  bitStringBytes,
  bits,
  insideSequence,
  integer,
  malformed,
  oid,
  sequence,
  set,
  tagged,
  utf8,
} from './der.ts';

/** Keys and certificate requests (PKCS #10) of nodes: ECDSA P-256 with SHA-256 throughout. */

/** AlgorithmIdentifier of ecdsa-with-SHA256. */
export const SIGNATURE_ALGORITHM = sequence(oid('1.2.840.10045.4.3.2'));
const CSR_BYTES_MAX = 4096;

/** A new private key, PKCS #8 PEM. */
export async function newKey(): Promise<string> {
  const pair = await promisify(generateKeyPair)('ec', { namedCurve: 'P-256' });
  return pair.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
}

/** The public half, SPKI DER: what certificate rows hold. */
export function publicKeyOf(privateKeyPem: string): Buffer {
  return createPublicKey(privateKeyPem).export({ type: 'spki', format: 'der' });
}

/** Signs with a private key (PEM); DER-encoded ECDSA. */
export function signWith(privateKeyPem: string, bytes: Uint8Array): Buffer {
  return sign('sha256', bytes, createPrivateKey(privateKeyPem));
}

/** Whether `signature` over `bytes` was made by the owner of `spki`. */
export function signedBy(spki: Uint8Array, bytes: Uint8Array, signature: Uint8Array): boolean {
  try {
    return verify('sha256', bytes, p256(spki), signature);
  } catch {
    return false;
  }
}

/** A certificate request, DER. It proves that its sender holds the key; the CA chooses the name. */
export function makeCsr(privateKeyPem: string): Buffer {
  const info = sequence(
    integer(Buffer.from([0])),
    name({ CN: 'swarm-node' }),
    publicKeyOf(privateKeyPem),
    tagged(0xa0),
  );
  return sequence(info, SIGNATURE_ALGORITHM, bits(signWith(privateKeyPem, info)));
}

/** The public key (SPKI DER) of a request whose signature holds. Throws INVALID_ARGUMENT. */
export function csrPublicKey(csr: Uint8Array): Buffer {
  if (csr.length > CSR_BYTES_MAX) throw malformed();
  const [info, algorithm, signature] = insideSequence(Buffer.from(csr));
  if (info === undefined || algorithm?.whole.equals(SIGNATURE_ALGORITHM) !== true) {
    throw malformed();
  }
  const spki = insideSequence(info.whole)[2]?.whole;
  if (spki === undefined) throw malformed();
  if (!signedBy(spki, info.whole, bitStringBytes(signature))) {
    throw new SwarmError('INVALID_ARGUMENT', 'The certificate request has a wrong signature.');
  }
  return Buffer.from(spki);
}

function p256(spki: Uint8Array): KeyObject {
  const key = createPublicKey({ key: Buffer.from(spki), type: 'spki', format: 'der' });
  if (key.asymmetricKeyDetails?.namedCurve !== 'prime256v1') throw malformed();
  return key;
}

const NAME_OIDS = { CN: '2.5.4.3', OU: '2.5.4.11', O: '2.5.4.10' } as const;

/** A distinguished name; fields in the given order. */
export function name(fields: { readonly [K in keyof typeof NAME_OIDS]?: string }): Buffer {
  const parts = Object.entries(fields).map(([key, value]) =>
    set(sequence(oid(NAME_OIDS[key as keyof typeof NAME_OIDS]), utf8(value))),
  );
  return sequence(...parts);
}

const RENEWAL_CONTEXT = Buffer.from('swarm certificate renewal v1\0');

/** What a node signs with its known key to get a new certificate. */
export function renewalBytes(nonce: Uint8Array, csr: Uint8Array): Buffer {
  return Buffer.concat([RENEWAL_CONTEXT, nonce, csr]);
}
