import { readFile } from 'node:fs/promises';
import { messageOf, SwarmError } from '../../shared/errors.ts';
import type { Context } from '../context.ts';
import { mergeEnv, parseEnvFile } from '../parse/env.ts';
import { seccompFile } from '../parse/security-option.ts';
import type { Flags } from './flags.ts';

/** Puts what files say in the place of their paths: `--env-file`, and profiles of `--security-opt`. */
export async function withFiles(context: Context, flags: Flags): Promise<Flags> {
  return withProfiles(await withEnvFiles(context, flags));
}

async function withEnvFiles(context: Context, flags: Flags): Promise<Flags> {
  const paths = flags.list('env-file');
  if (paths.length === 0) return flags;
  const lists = await Promise.all(
    paths.map(async (path) => {
      const advice = 'Give the path of a file with NAME=VALUE lines.';
      return parseEnvFile(path, await textOf('--env-file', path, advice), context.io.env);
    }),
  );
  return flags.with({ 'env-file': mergeEnv(...lists) });
}

async function withProfiles(flags: Flags): Promise<Flags> {
  const options = flags.list('security-opt');
  if (!options.some((text) => seccompFile(text) !== undefined)) return flags;
  const advice = "Give the path of a profile in Docker's JSON form, unconfined or default.";
  const read = options.map(async (text) => {
    const path = seccompFile(text);
    if (path === undefined) return text;
    return `seccomp=${await textOf('--security-opt seccomp file', path, advice)}`;
  });
  return flags.with({ 'security-opt': await Promise.all(read) });
}

async function textOf(flag: string, path: string, advice: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    const text = `The ${flag} ${path} cannot be read: ${messageOf(cause)}.`;
    throw new SwarmError('INVALID_ARGUMENT', text, { cause, advice });
  }
}
