import { SwarmError } from '../../shared/errors.ts';
import type { TokenSources } from './token.ts';

/** `@FILE` or `-`: what must not stand among the arguments, where every process may read it. */
export async function readSecret(
  given: string,
  flag: string,
  sources: TokenSources,
): Promise<string> {
  if (given === '-') return (await sources.readStdin()).trim();
  if (!given.startsWith('@')) {
    throw new SwarmError('INVALID_ARGUMENT', `--${flag} takes @FILE or -, not the text itself.`, {
      advice: 'Arguments are seen by every user of this machine: write it into a file.',
      command: `--${flag} @FILE`,
    });
  }
  const path = given.slice(1);
  try {
    return (await sources.readFile(path)).trim();
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? 'unknown error';
    throw new SwarmError(
      'INVALID_ARGUMENT',
      `The file ${path} of --${flag} cannot be read (${code}).`,
      {
        cause,
        advice: 'Give the path of a file that you may read.',
      },
    );
  }
}
