import { setFlagsFromString } from 'node:v8';

/** Bytes of bytecode that a function runs before V8 thinks of compiling it: far below its default. */
const INTERRUPT_BUDGET_BYTES = 8_000;

/**
 * Has V8 compile sooner what runs again and again. A daemon that has nothing to do runs the same few
 * functions some times a second: at the default it interprets them for ten minutes, at twice the cost
 * (docs/adr/0010-few-ticks.md).
 */
export function compileSoon(): void {
  setFlagsFromString(`--interrupt-budget=${INTERRUPT_BUDGET_BYTES}`);
}

/**
 * How V8's space for young objects, of which every page that was ever used stays with the process, goes
 * on growing: not at all, or up to 32 MB. A worker that starts a hundred tasks at once needs no more
 * than the few megabytes of its own start, at 3 % more CPU; a manager under load would copy too much.
 */
export function letYoungSpaceGrow(grows: boolean): void {
  setFlagsFromString(`--semi-space-growth-factor=${grows ? 2 : 1}`);
}
