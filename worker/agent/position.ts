import { Position } from '../../proto/index.ts';

export const NOWHERE: Position = Position.create();

/** Negative when `a` is before `b`. A newer term is ahead whatever its index. */
export function comparePositions(a: Position, b: Position): number {
  return a.epoch - b.epoch || a.term - b.term || a.index - b.index;
}
