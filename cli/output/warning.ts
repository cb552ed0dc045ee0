import type { Context } from '../context.ts';

/** Beside the output of a command: what was done and will yet not do what was meant. */
export function warn(context: Context, warnings: readonly string[]): void {
  for (const warning of warnings) context.io.err(`WARNING: ${warning}\n`);
}
