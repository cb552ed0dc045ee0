import type { Context } from '../context.ts';
import { exitCodeOf, formatError } from '../output/error.ts';

/** Prints the error of one of several objects and gives its exit code. */
export function reporter(context: Context): (error: unknown) => number {
  return (error) => {
    context.io.err(formatError(error));
    return exitCodeOf(error);
  };
}
