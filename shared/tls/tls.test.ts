import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import 'reflect-metadata';
import { Role } from '../../proto/index.ts';
import { csrPublicKey, makeCsr, newKey, publicKeyOf, signedBy, signWith } from './csr.ts';
import { elements, integer, oid, sequence, time } from './der.ts';
import { loadIdentity, writeSecret } from './identity.ts';
import { parseSubject, parseSubjectText } from './subject.ts';
import { formatToken, parseToken, sameSecret } from './token.ts';

test('a request is one that another implementation reads and verifies', async () => {
  const { Pkcs10CertificateRequest } = await import('@peculiar/x509');
  const key = await newKey();
  const csr = makeCsr(key);
  const request = new Pkcs10CertificateRequest(new Uint8Array(csr));
  assert.equal(await request.verify(), true);
  assert.deepEqual(csrPublicKey(csr), publicKeyOf(key));
});

test('a request of another implementation is understood', async () => {
  const { Pkcs10CertificateRequestGenerator } = await import('@peculiar/x509');
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const request = await Pkcs10CertificateRequestGenerator.create({
    name: 'CN=x',
    keys,
    signingAlgorithm: algorithm,
  });
  const spki = Buffer.from(await crypto.subtle.exportKey('spki', keys.publicKey));
  assert.deepEqual(csrPublicKey(new Uint8Array(request.rawData)), spki);
});

test('a request that was changed anywhere is refused', async () => {
  const csr = makeCsr(await newKey());
  for (let at = 0; at < csr.length; at++) {
    const changed = Buffer.from(csr);
    changed[at] = (changed[at] ?? 0) ^ 1;
    assert.throws(() => csrPublicKey(changed), { code: 'INVALID_ARGUMENT' }, `byte ${at}`);
  }
  assert.throws(() => csrPublicKey(csr.subarray(0, 40)), { code: 'INVALID_ARGUMENT' });
  assert.throws(() => csrPublicKey(Buffer.alloc(0)), { code: 'INVALID_ARGUMENT' });
});

test('a signature holds for its own key and bytes alone', async () => {
  const [mine, other] = [await newKey(), await newKey()];
  const bytes = Buffer.from('bytes');
  const signature = signWith(mine, bytes);
  assert.equal(signedBy(publicKeyOf(mine), bytes, signature), true);
  assert.equal(signedBy(publicKeyOf(other), bytes, signature), false);
  assert.equal(signedBy(publicKeyOf(mine), Buffer.from('other'), signature), false);
  assert.equal(signedBy(Buffer.from('no key'), bytes, signature), false);
});

test('DER is written as the standard shows it', () => {
  assert.equal(oid('1.2.840.10045.4.3.2').toString('hex'), '06082a8648ce3d040302');
  assert.equal(integer(Buffer.from([0, 0x80])).toString('hex'), '02020080');
  assert.equal(integer(Buffer.from([0])).toString('hex'), '020100');
  assert.equal(
    time(Date.UTC(2026, 0, 2, 3, 4, 5))
      .subarray(2)
      .toString(),
    '260102030405Z',
  );
  assert.equal(
    time(Date.UTC(2050, 0, 1))
      .subarray(2)
      .toString(),
    '20500101000000Z',
  );
  const long = sequence(Buffer.alloc(300));
  assert.equal(elements(long)[0]?.body.length, 300);
});

test('a subject is exactly node, role and cluster', () => {
  const CN = 'a'.repeat(25);
  const subject = { nodeId: CN, role: Role.MANAGER, clusterId: 'c' };
  assert.deepEqual(parseSubject({ CN, OU: 'swarm-manager', O: 'c' }), subject);
  assert.deepEqual(parseSubjectText(`CN=${CN}\nOU=swarm-manager\nO=c`), subject);
  assert.equal(parseSubject({ CN, OU: 'swarm-boss', O: 'c' }), undefined);
  assert.equal(parseSubject({ CN: 'short', OU: 'swarm-worker', O: 'c' }), undefined);
  assert.equal(parseSubject({ CN: [CN, CN], OU: 'swarm-worker', O: 'c' }), undefined);
  assert.equal(parseSubjectText(`CN=${CN}\nOU=swarm-worker\nOU=swarm-manager\nO=c`), undefined);
});

test('tokens are read as they were made, and nothing else is', () => {
  const token = { rootDigest: 'd'.repeat(50), secret: 's'.repeat(25) };
  const text = formatToken(token);
  assert.deepEqual(parseToken(`${text}\n`), token);
  for (const wrong of ['', 'SWMTKN-1-x-y', text.slice(0, -1), `${text}0`, text.toUpperCase()]) {
    assert.throws(() => parseToken(wrong), { code: 'UNAUTHENTICATED' });
  }
  assert.equal(sameSecret('a', 'a'), true);
  assert.equal(sameSecret('a', 'b'), false);
  assert.equal(sameSecret('', ''), false);
});

test('a secret is written whole, for its owner alone, over what was there', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'swarm-tls-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const path = join(folder, 'identity.pem');
  assert.equal(await loadIdentity(path), undefined);
  await writeFile(`${path}.new`, 'left behind by a kill', { mode: 0o666 });
  await writeSecret(path, 'one');
  await writeSecret(path, 'two');
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  assert.deepEqual(await readdir(folder), ['identity.pem']);
  await assert.rejects(loadIdentity(path), { code: 'DAMAGED' });
});
