import { SwarmError } from '../../shared/errors.ts';

/** A flag's value that cannot be read: what was given, what is expected. */
export function invalid(flag: string, given: string, expected: string): SwarmError {
  return new SwarmError('INVALID_ARGUMENT', `${flag} cannot be "${given}": expected ${expected}.`);
}
