import type { Clock } from '../shared/clock.ts';
import type { Log } from '../shared/log.ts';

/** JSON lines on standard error, for a process that should stay small. */
export function lineLog(clock: Clock, base: object = {}): Log {
  const write = (level: string, fields: object, message: string): void => {
    const line = {
      level,
      time: new Date(clock.wallMs()).toISOString(),
      ...base,
      ...fields,
      msg: message,
    };
    process.stderr.write(`${JSON.stringify(line)}\n`);
  };
  return {
    debug: () => undefined,
    info: (fields, message) => write('info', fields, message),
    warn: (fields, message) => write('warn', fields, message),
    error: (fields, message) => write('error', fields, message),
    child: (fields) => lineLog(clock, { ...base, ...fields }),
  };
}
