import { createPrivateKey, X509Certificate } from 'node:crypto';
import { open, readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { messageOf, SwarmError } from '../errors.ts';
import { pem, unpem } from './der.ts';
import { parseSubjectText, type Subject } from './subject.ts';

/** Who a node is: its certificate, its private key and the root that signed it. */
export interface Identity {
  readonly subject: Subject;
  readonly certificatePem: string;
  readonly keyPem: string;
  readonly rootPem: string;
  readonly serial: string;
  readonly notBeforeWallMs: number;
  readonly notAfterWallMs: number;
}

/**
 * Puts an identity together and checks that its parts belong together: the key is the
 * certificate's, the root signed it, the subject is a node's. Whether it has expired is not looked
 * at: an expired one can still be renewed. Throws DAMAGED.
 */
export function makeIdentity(certificatePem: string, keyPem: string, rootPem: string): Identity {
  try {
    const certificate = new X509Certificate(certificatePem);
    const root = new X509Certificate(rootPem);
    const subject = parseSubjectText(certificate.subject);
    if (subject === undefined) throw new Error('its subject is not a node');
    if (!certificate.checkPrivateKey(createPrivateKey(keyPem))) {
      throw new Error('the private key is not its own');
    }
    if (!certificate.checkIssued(root) || !certificate.verify(root.publicKey)) {
      throw new Error('the root did not sign it');
    }
    return {
      subject,
      certificatePem,
      keyPem,
      rootPem,
      serial: certificate.serialNumber.toLowerCase(),
      notBeforeWallMs: Date.parse(certificate.validFrom),
      notAfterWallMs: Date.parse(certificate.validTo),
    };
  } catch (error) {
    throw new SwarmError('DAMAGED', `This node's certificate cannot be used: ${messageOf(error)}.`);
  }
}

/** Reads an identity; undefined when there is none. Throws DAMAGED. */
export async function loadIdentity(path: string): Promise<Identity | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new SwarmError('STATE_DIR', `Cannot read ${path}: ${messageOf(error)}.`);
  }
  const [key] = unpem(text, 'PRIVATE KEY');
  const [certificate, root] = unpem(text, 'CERTIFICATE');
  if (key === undefined || certificate === undefined || root === undefined) {
    throw new SwarmError('DAMAGED', `${path} does not hold a key, a certificate and a root.`);
  }
  return makeIdentity(
    pem('CERTIFICATE', certificate),
    pem('PRIVATE KEY', key),
    pem('CERTIFICATE', root),
  );
}

/** Replaces the identity on disk as a whole: one file, so that key and certificate always match. */
export function saveIdentity(path: string, identity: Identity): Promise<void> {
  return writeSecret(path, `${identity.keyPem}${identity.certificatePem}${identity.rootPem}`);
}

/** A key that was made for a join that has not been answered yet; undefined when there is none. */
export async function loadKey(path: string): Promise<string | undefined> {
  const text = await readFile(path, 'utf8').catch(() => '');
  const [key] = unpem(text, 'PRIVATE KEY');
  return key === undefined ? undefined : pem('PRIVATE KEY', key);
}

/** Writes a file of mode 0600 so that it is there wholly, or not, also after a power cut. */
export async function writeSecret(path: string, text: string): Promise<void> {
  const fresh = `${path}.new`;
  await rm(fresh, { force: true });
  const file = await open(fresh, 'wx', 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(fresh, path);
  const folder = await open(dirname(path), 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
