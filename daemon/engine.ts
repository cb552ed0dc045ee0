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

/** By how much a worker's old objects may grow beyond those that the last collection left, in percent. */
const OLD_GROWTH_PERCENT = 30;

/**
 * How V8's heap goes on growing. The space for young objects, of which every page that was ever used
 * stays with the process: not at all, or up to 32 MB. The one for old objects: V8 lets garbage pile up
 * to several times what lives before it looks for it, or a little (never less than 8 MB). A worker that
 * starts a hundred tasks at once stays within the megabytes that they need, at 5 % more CPU; a manager
 * under load would copy and mark too much.
 */
export function letHeapGrow(grows: boolean): void {
  setFlagsFromString(`--semi-space-growth-factor=${grows ? 2 : 1}`);
  setFlagsFromString(`--heap-growing-percent=${grows ? 0 : OLD_GROWTH_PERCENT}`);
}
