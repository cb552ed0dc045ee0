/**
 * The logger as components see it: pino's shape. `daemon/` makes a real one; tests pass `silentLog`.
 * Never a token, key or secret in a field: the daemon's logger redacts, but who logs decides.
 */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  child(fields: object): Log;
}

export const silentLog: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silentLog,
};
