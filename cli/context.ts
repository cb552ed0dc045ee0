import type { Consistency } from '../shared/rpc/rpc.ts';
import type { Io } from './io.ts';
import type { Session } from './session.ts';

/** What every verb gets. */
export interface Context {
  readonly io: Io;
  readonly globals: Globals;
  /** Connects to the daemon that `globals` and the environment choose; the same one every time. */
  connect(): Promise<Session>;
}

/** Flags that every command takes. */
export interface Globals {
  readonly socket: string | undefined;
  readonly via: string | undefined;
  /** Of reads; absent: linearizable. */
  readonly consistency?: Consistency | undefined;
}
