import { createHash } from 'node:crypto';
import { SwarmError } from '../../shared/errors.ts';
import type { Random } from '../../shared/random.ts';

/** The key of one backup: made with it, shown once, kept nowhere in the cluster. */
export interface BackupKey {
  readonly bytes: Uint8Array;
  /** As users keep it: SWMBAK-1- and 43 characters of base64url. */
  readonly text: string;
}

const PREFIX = 'SWMBAK-1-';
const KEY_BYTES = 32;
const ID_BYTES = 8;

export function makeBackupKey(random: Random): BackupKey {
  const bytes = random.bytes(KEY_BYTES);
  return { bytes, text: `${PREFIX}${Buffer.from(bytes).toString('base64url')}` };
}

/** Throws INVALID_ARGUMENT; never repeats what was given. */
export function parseBackupKey(text: string): Uint8Array {
  const trimmed = text.trim();
  const bytes = Buffer.from(trimmed.slice(PREFIX.length), 'base64url');
  if (trimmed.startsWith(PREFIX) && bytes.length === KEY_BYTES) return bytes;
  throw new SwarmError(
    'INVALID_ARGUMENT',
    'That is not the key of a backup: it has another form.',
    {
      advice: `It begins with ${PREFIX}; swarm cluster backup showed it, or wrote it to --key-file.`,
    },
  );
}

/** Stands in the file, so that a wrong key is told from a damaged file. */
export function backupKeyId(key: Uint8Array): Uint8Array {
  return createHash('sha256').update('swarm backup key').update(key).digest().subarray(0, ID_BYTES);
}
