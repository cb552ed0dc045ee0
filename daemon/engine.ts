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
