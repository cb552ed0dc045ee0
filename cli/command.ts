import type { Command } from 'commander';
import type { Context } from './context.ts';
import type { Flags } from './spec/flags.ts';

/** One verb of the command line: its declaration, and what it does. */
export interface Verb {
  /** Adds arguments and options; nothing heavy is loaded for it. */
  declare(command: Command): void;
  /**
   * Resolves to the exit code (0 when nothing is returned). `words` are the operands in order. A
   * SwarmError thrown here is printed with its advice and ends with its own code.
   */
  run(context: Context, words: readonly string[], flags: Flags): Promise<number | undefined>;
}

/** Reads what was really typed into `Flags`; defaults of the declaration are left out. */
export function typedFlags(command: Command): { [name: string]: string | boolean | string[] } {
  const out: { [name: string]: string | boolean | string[] } = {};
  for (const option of command.options) {
    const key = option.attributeName();
    if (command.getOptionValueSource(key) !== 'cli') continue;
    const value = command.getOptionValue(key);
    const name = (option.long ?? option.short ?? key).replace(/^-+/, '');
    out[name] = option.negate ? true : value;
  }
  return out;
}
