/** Said to whoever typed it; nothing was run. */
export class UsageError extends Error {}

/** What `parseArgs` gives; a UsageError where an option is unknown or lacks its value. */
export function parsed<T>(parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

/** A whole number of at least `min`. */
export function wholeNumber(name: string, text: string, min: number): number {
  const number = Number(text);
  if (text.trim() === '' || !Number.isSafeInteger(number) || number < min)
    throw new UsageError(`--${name} takes a whole number of at least ${min}, not "${text}"`);
  return number;
}

/** One of `known`, or nothing at all. */
export function oneOf(name: string, text: string | undefined, known: readonly string[]): void {
  if (text === undefined || known.includes(text)) return;
  const names = known.map((one) => `\n  ${one}`).join('');
  throw new UsageError(`--${name} "${text}" is not there; there are:${names}`);
}

/** Runs a main function and sets the exit code; 2: it was called wrongly. */
export async function runMain(main: () => Promise<number>, usage: string): Promise<void> {
  if (process.argv.includes('--help')) {
    console.log(usage);
    return;
  }
  try {
    process.exitCode = await main();
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`${error.message}\n\n${usage}`);
    process.exitCode = 2;
  }
}
