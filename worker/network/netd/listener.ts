import type { ListenerWish } from './wish.ts';

/** One socket that is listened on, TCP or UDP. */
export interface Listener {
  /** Resolves when it listens; rejects with the system's error. */
  listen(address: string, port: number): Promise<void>;
  update(wish: ListenerWish): void;
  /** Takes no more connections or flows; what is open goes on. */
  close(): void;
  /** Ends what is open as well. */
  destroy(): void;
  /** Open connections or flows. */
  readonly open: number;
  /** The object that `child.send` passes on. */
  readonly handle: unknown;
}
