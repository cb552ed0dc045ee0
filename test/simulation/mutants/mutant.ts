/** One text in one module (named without its ending), and what it becomes. */
export interface Patch {
  readonly module: string;
  readonly find: string;
  readonly replace: string;
}
export interface Mutant {
  /** Of the bug among the twenty that it is one of (`docs/guide/proof-of-consensus.md`); 0: none. */
  readonly number: number;
  readonly name: string;
  readonly patches: readonly Patch[];
  /** Changes that raft allows, without which the bug could do nothing here: its control has them, too. */
  readonly aids: readonly Patch[];
  /** What its runs are tilted towards (profiles.ts); absent: nothing. */
  readonly profile?: string;
}

/**
 * What a report counts these calls as. Where a guard is taken away the planted text asks it all the
 * same and calls `tookEffect()`, which is never true, when it would have held.
 */
export const TOOK_EFFECT = 'the bug took effect';

type Triple = readonly [module: string, find: string, replace: string];

/** A bug, and, where runs have to be tilted or helped for it to do anything, how. */
export function mutant(
  number: number,
  name: string,
  patches: readonly Triple[],
  more: { readonly profile?: string; readonly aids?: readonly Triple[] } = {},
): Mutant {
  const patch = ([module, find, replace]: Triple): Patch => ({ module, find, replace });
  const { profile, aids = [] } = more;
  const tilt = profile === undefined ? {} : { profile };
  return { number, name, patches: patches.map(patch), aids: aids.map(patch), ...tilt };
}
