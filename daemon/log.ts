import pino from 'pino';
import type { Log } from '../shared/log.ts';
import { LogFile } from './log-file.ts';

/**
 * JSON lines on a file (0600) or stderr. What could be a secret is cut out whatever field it is in.
 * A file is written behind: a disk that hangs holds up the log, not the daemon, and one that is full
 * costs lines.
 */
export function openLog(path: string | undefined, level: string): Log {
  const destination = path === undefined ? pino.destination(2) : new LogFile(path);
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
