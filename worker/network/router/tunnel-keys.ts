import { generateKeyPairSync } from 'node:crypto';
import { join } from 'node:path';
import type { Clock } from '../../../shared/clock.ts';
import type { Io } from '../../io.ts';

/** A key is told for so long; the next start of the daemon, or the next certificate, brings another. */
const KEY_LIFE_MS = 90 * 24 * 3_600_000;
/** What others still send to, and what they are told. */
const KEPT = 2;

export interface TunnelKeysDeps {
  readonly io: Io;
  readonly clock: Clock;
  /** Of this node alone: one file a key pair, named after its public half. */
  readonly directory: string;
}

/**
 * The WireGuard keys of this node. The private halves are made here and go nowhere: programs get the
 * path of the file. Which one is in use is said by the node's own row, so that a new key is taken up
 * when the others have heard of it.
 */
export class TunnelKeys {
  readonly #deps: TunnelKeysDeps;

  constructor(deps: TunnelKeysDeps) {
    this.#deps = deps;
  }
  /** The public key to tell, in base64; one that has come of age is followed by a new one. */
  publicKey(): string {
    const { io, clock, directory } = this.#deps;
    const keys = this.#keys();
    const newest = keys[0];
    if (newest !== undefined && clock.wallMs() - newest.madeMs < KEY_LIFE_MS) return newest.key;
    io.mkdir(directory);
    const made = makeKey();
    const path = tunnelKeyPath(directory, made.publicKey);
    io.write(`${path}.new`, `${made.privateKey}\n`);
    io.rename(`${path}.new`, path);
    for (const { key } of keys.slice(KEPT - 1)) io.unlink(tunnelKeyPath(directory, key));
    return made.publicKey;
  }

  /** Newest first. What a loss of power left of one is none. */
  #keys(): readonly { readonly key: string; readonly madeMs: number }[] {
    const { io, directory } = this.#deps;
    return io
      .list(directory)
      .flatMap((name) => {
        const key = /^([\w-]{43})\.key$/.exec(name)?.[1];
        const path = join(directory, name);
        const isWhole = io.read(path)?.length === 45;
        if (key === undefined || !isWhole) return [];
        return [{ key: toBase64(key), madeMs: io.stat(path)?.mtimeMs ?? 0 }];
      })
      .sort((a, b) => b.madeMs - a.madeMs);
  }
}

/** Where the private half of a key is. */
export function tunnelKeyPath(directory: string, publicKey: string): string {
  return join(directory, `${Buffer.from(publicKey, 'base64').toString('base64url')}.key`);
}

function makeKey(): { readonly publicKey: string; readonly privateKey: string } {
  const { d = '', x = '' } = generateKeyPairSync('x25519').privateKey.export({ format: 'jwk' });
  return { publicKey: toBase64(x), privateKey: toBase64(d) };
}

function toBase64(text: string): string {
  return Buffer.from(text, 'base64url').toString('base64');
}
