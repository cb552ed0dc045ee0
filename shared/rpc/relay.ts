import { SwarmError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import type { Duplex } from './rpc.ts';

/** How messages of one stream become messages of another; undefined: it stops here. */
export interface Translation<LeftIn, LeftOut, RightIn, RightOut> {
  readonly toRight: (message: LeftIn) => RightOut | undefined;
  readonly toLeft: (message: RightIn) => LeftOut | undefined;
}

/**
 * Makes one stream of two. What ends one ends the other, with its error. Frames are held back at
 * their ends, so here is no brake: ends that send on all the same are cut off.
 */
export function relay<LeftIn, LeftOut, RightIn, RightOut>(
  left: Duplex<LeftIn, LeftOut>,
  right: Duplex<RightIn, RightOut>,
  how: Translation<LeftIn, LeftOut, RightIn, RightOut>,
): void {
  const cutOff = (): void => {
    const error = floodError();
    left.destroy(error);
    right.destroy(error);
  };
  left.onMessage((message) => {
    const out = how.toRight(message);
    if (out !== undefined) right.send(out);
    if (isFlooded(right)) cutOff();
  });
  right.onMessage((message) => {
    const out = how.toLeft(message);
    if (out !== undefined) left.send(out);
    if (isFlooded(left)) cutOff();
  });
  left.onClose((error) => endWith(right, error));
  right.onClose((error) => endWith(left, error));
}

/** Ends a stream as another one ended. */
export function endWith(
  stream: Pick<Duplex<never, never>, 'end' | 'destroy'>,
  error: SwarmError | undefined,
): void {
  if (error === undefined) stream.end();
  else stream.destroy(error);
}

/** Ends that keep to their windows never come so far. */
export function isFlooded(stream: { readonly unsentBytes: number } | undefined): boolean {
  return (stream?.unsentBytes ?? 0) > LIMITS.streamRelayBytesMax;
}

export function floodError(): SwarmError {
  return new SwarmError('OVERLOADED', 'More was sent on a stream than was asked for.');
}
