import { openSync } from 'node:fs';
import pino from 'pino';
import type { Log } from '../shared/log.ts';

/**
 * JSON lines on a file (0600) or stderr. What could be a secret is cut out whatever field it is in.
 * A file is written behind: a disk that hangs holds up the log, not the daemon, and one that is full
 * costs lines.
 */
export function openLog(path: string | undefined, level: string): Log {
  const destination =
    path === undefined
      ? pino.destination(2)
      : pino.destination({
          dest: openSync(path, 'a', 0o600),
          sync: false,
          maxLength: HELD_BYTES_MAX,
        });
  // What could not be written is tried again with the next line; without this it would end the daemon.
  destination.on('error', () => undefined);
  return pino(
    {
      level,
      base: null,
      redact: {
        paths: ['token', 'key', '*.token', '*.key', '*.secret', 'secret'],
        censor: '[cut]',
      },
      timestamp: pino.stdTimeFunctions.isoTime,
      serializers: { err: pino.stdSerializers.err },
    },
    destination,
  ) as unknown as Log;
}

/** Lines that wait for the disk; more are dropped. */
const HELD_BYTES_MAX = 1 << 20;
