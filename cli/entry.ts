import type { Verb } from './command.ts';

/** A word of the command line with what it leads to. Verbs are loaded when they are chosen. */
export interface Entry {
  readonly summary: string;
  readonly aliases?: readonly string[];
  readonly hidden?: true;
  readonly load?: () => Promise<Verb>;
  readonly verbs?: { readonly [word: string]: Entry };
  /** Heading in the list of commands. */
  readonly group?: string;
}
