import { ERRORS, messageOf, SwarmError } from '../../shared/errors.ts';
import { printable } from './printable.ts';

/**
 * An error as people read it: what happened and why, what to do, the command to do it. Only what is
 * no SwarmError, and so a bug, shows where it comes from.
 */
export function formatError(error: unknown): string {
  if (!SwarmError.is(error)) {
    const stack = error instanceof Error && error.stack ? `\n${error.stack}` : '';
    return `Error: ${messageOf(error)} (INTERNAL)\n${ERRORS.INTERNAL.advice}${stack}\n`;
  }
  const lines = error.message.split('\n').map(printable);
  const text = [`Error: ${lines.join('\n')}`];
  if (error.advice !== '') text.push(printable(error.advice));
  if (error.command !== '') text.push(`  ${printable(error.command)}`);
  return `${text.join('\n')}\n`;
}

/** The code that a script sees. */
export function exitCodeOf(error: unknown): number {
  return SwarmError.is(error) ? ERRORS[error.code].exit : ERRORS.INTERNAL.exit;
}
