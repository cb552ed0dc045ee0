/**
 * Invariants. A broken one means that the program is wrong, not its input: the process must not go
 * on, since what it would do next was never thought through. Assertions stay on in production.
 */
class AssertionError extends Error {
  override readonly name = 'AssertionError';
}

export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AssertionError(message);
}

/** For the branch that no value of a closed union can reach; the compiler checks it as well. */
export function unreachable(value: never, what: string): never {
  throw new AssertionError(`unreachable ${what}: ${String(value)}`);
}

/** Indexes and terms are JavaScript integers; past 2^53 they would lose precision in silence. */
export function assertSafeInteger(value: number, what: string): void {
  assert(Number.isSafeInteger(value) && value >= 0, `${what} is not a safe integer: ${value}`);
}
