import { createHash, timingSafeEqual } from 'node:crypto';
import { SwarmError } from '../errors.ts';
import { unpem } from './der.ts';

/**
 * Join tokens: `SWMTKN-1-<digest of the root>-<secret>`. The digest lets a joining node check that
 * it talks to the right cluster before it says the secret; the secret names the role.
 */
export interface Token {
  /** sha256 of the root certificate, base 36, 50 characters. */
  readonly rootDigest: string;
  /** 25 characters of base 36. */
  readonly secret: string;
}

const DIGEST_CHARS = 50;

export function formatToken(token: Token): string {
  return `SWMTKN-1-${token.rootDigest}-${token.secret}`;
}

/** Throws UNAUTHENTICATED, without repeating the text: it may be half of a real token. */
export function parseToken(text: string): Token {
  const match = /^SWMTKN-1-([0-9a-z]{50})-([0-9a-z]{25})$/.exec(text.trim());
  if (match === null) {
    throw new SwarmError('UNAUTHENTICATED', 'The join token is not a whole token of swarm.', {
      advice: 'Copy all of it, from SWMTKN-1- on; a manager shows it.',
      command: 'swarm join-token worker',
    });
  }
  return { rootDigest: match[1] ?? '', secret: match[2] ?? '' };
}

/** What a token says about the root it trusts. */
export function rootDigest(rootPem: string): string {
  const [der] = unpem(rootPem, 'CERTIFICATE');
  const hex = createHash('sha256')
    .update(der ?? '')
    .digest('hex');
  return BigInt(`0x${hex}`).toString(36).padStart(DIGEST_CHARS, '0');
}

/** Compares secrets in a time that does not depend on where they differ. */
export function sameSecret(left: string, right: string): boolean {
  const hash = (text: string): Buffer => createHash('sha256').update(text).digest();
  return left !== '' && timingSafeEqual(hash(left), hash(right));
}
