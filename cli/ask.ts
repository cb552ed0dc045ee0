import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import { SwarmError } from '../shared/errors.ts';

/** One line from the terminal. What is typed for `hidden` is not shown. */
export async function askTerminal(
  question: string,
  otherwise: string,
  how?: 'hidden',
): Promise<string> {
  if (process.stdin.isTTY !== true)
    throw new SwarmError(
      'INVALID_ARGUMENT',
      `There is no terminal to ask on: ${question.replace(/\s+/g, ' ').replace(/:? $/, '.')}`,
      { advice: otherwise },
    );
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  const output = how === 'hidden' ? silent : process.stderr;
  const lines = createInterface({ input: process.stdin, output, terminal: true });
  const interrupt = new AbortController();
  lines.on('SIGINT', () => interrupt.abort());
  try {
    if (how === 'hidden') process.stderr.write(question);
    const signal = interrupt.signal;
    return await lines.question(how === 'hidden' ? '' : question, { signal });
  } catch (cause) {
    throw new SwarmError('INVALID_ARGUMENT', 'Nothing was done.', { cause, advice: '' });
  } finally {
    if (how === 'hidden') process.stderr.write('\n');
    lines.close();
  }
}
