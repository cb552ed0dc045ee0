import assert from 'node:assert/strict';
import { createPrivateKey, createPublicKey } from 'node:crypto';
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { SystemClock } from '../../../shared/clock.ts';
import { SystemIo } from '../../system-io.ts';
import { TunnelKeys, tunnelKeyPath } from './tunnel-keys.ts';

describe('WireGuard keys of a node', () => {
  const root = mkdtempSync(join(tmpdir(), 'swarm-tunnel-'));
  const clock = new SystemClock();
  const io = new SystemIo(clock);
  after(() => rmSync(root, { recursive: true }));
  const keysIn = (name: string) => {
    const directory = join(root, name);
    return { directory, keys: new TunnelKeys({ io, clock, directory }) };
  };
  const grow = (directory: string, key: string, days: number): void => {
    const made = new Date(clock.wallMs() - days * 24 * 3_600_000);
    utimesSync(tunnelKeyPath(directory, key), made, made);
  };

  it('are pairs of X25519, the private half in a file for its owner alone', () => {
    const { directory, keys } = keysIn('pair');
    const key = keys.publicKey();
    const path = tunnelKeyPath(directory, key);
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.equal(statSync(directory).mode & 0o777, 0o700);
    const d = Buffer.from(readFileSync(path, 'utf8'), 'base64');
    assert.equal(d.length, 32);
    const der = Buffer.concat([Buffer.from('302e020100300506032b656e04220420', 'hex'), d]);
    const made = createPublicKey(createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }));
    const { x } = made.export({ format: 'jwk' });
    assert.equal(Buffer.from(x!, 'base64url').toString('base64'), key);
  });
  it('stay the same for the next daemon', () => {
    const { directory, keys } = keysIn('stay');
    const key = keys.publicKey();
    assert.equal(new TunnelKeys({ io, clock, directory }).publicKey(), key);
    assert.equal(readdirSync(directory).length, 1);
  });
  it('are followed by new ones after 90 days; the one in use stays until the next', () => {
    const { directory, keys } = keysIn('age');
    const first = keys.publicKey();
    grow(directory, first, 91);
    const second = keys.publicKey();
    assert.notEqual(second, first);
    assert.deepEqual(readdirSync(directory).length, 2);
    grow(directory, first, 200);
    grow(directory, second, 91);
    const third = keys.publicKey();
    const left = readdirSync(directory).map((name) => join(directory, name));
    assert.deepEqual(
      left.sort(),
      [second, third].map((key) => tunnelKeyPath(directory, key)).sort(),
    );
  });
  it('that were not wholly written are none', () => {
    const { directory, keys } = keysIn('half');
    const key = keys.publicKey();
    writeFileSync(tunnelKeyPath(directory, key), '');
    assert.notEqual(keys.publicKey(), key);
  });
});
