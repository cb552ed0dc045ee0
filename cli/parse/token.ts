import { SwarmError } from '../../shared/errors.ts';

/** Where a token may come from besides its own text. */
export interface TokenSources {
  readFile(path: string): Promise<string>;
  readStdin(): Promise<string>;
}

/** `--token T`, `@FILE` or `-`; the text itself is never part of an error. */
export async function readToken(given: string, sources: TokenSources): Promise<string> {
  const text = (await source(given, sources)).trim();
  if (!/^SWMTKN-1-\S+-\S+$/.test(text)) {
    throw new SwarmError('INVALID_ARGUMENT', 'That is not a join token: it has another form.', {
      advice: 'A manager prints it; copy it whole, or pass a file as --token @FILE.',
      command: 'swarm join-token worker',
    });
  }
  return text;
}

async function source(given: string, sources: TokenSources): Promise<string> {
  if (given === '-') return sources.readStdin();
  if (!given.startsWith('@')) return given;
  const path = given.slice(1);
  try {
    return await sources.readFile(path);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? 'unknown error';
    throw new SwarmError('INVALID_ARGUMENT', `The token file ${path} cannot be read (${code}).`, {
      cause,
      advice: 'Give the path of a file that you may read.',
    });
  }
}
