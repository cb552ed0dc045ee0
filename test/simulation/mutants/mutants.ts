import { BUGS_ABOVE_RAFT } from './bugs-above-raft.ts';
import { BUGS_OF_RAFT } from './bugs-of-raft.ts';
import type { Mutant } from './mutant.ts';

/** Every bug that can be planted. */
export const MUTANTS: readonly Mutant[] = [...BUGS_OF_RAFT, ...BUGS_ABOVE_RAFT];
