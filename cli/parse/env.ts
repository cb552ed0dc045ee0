import { invalid } from './invalid.ts';

export type Environment = { readonly [name: string]: string | undefined };

/**
 * One `--env`: "K=V" as it is, "K" takes the value of the caller's own environment and is left out
 * (undefined) where that has none.
 */
export function parseEnv(flag: string, text: string, caller: Environment): string | undefined {
  const at = text.indexOf('=');
  if (at === 0 || text === '') throw invalid(flag, text, 'NAME=VALUE');
  if (at > 0) return text;
  const value = caller[text];
  return value === undefined ? undefined : `${text}=${value}`;
}

/** An `--env-file`: a variable a line; empty lines and lines that begin with # are skipped. */
export function parseEnvFile(path: string, content: string, caller: Environment): string[] {
  const out: string[] = [];
  for (const [number, raw] of content
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .entries()) {
    const line = raw.trimStart();
    if (line === '' || line.startsWith('#')) continue;
    if (/\s/.test(line.split('=', 1)[0]!))
      throw invalid(`--env-file ${path}, line ${number + 1}`, line, 'NAME=VALUE without spaces');
    const entry = parseEnv(`--env-file ${path}, line ${number + 1}`, line, caller);
    if (entry !== undefined) out.push(entry);
  }
  return out;
}

/** Later entries replace earlier ones of the same name, in the place of the first. */
export function mergeEnv(...lists: readonly (readonly string[])[]): string[] {
  const byName = new Map<string, string>();
  for (const entry of lists.flat()) byName.set(envName(entry), entry);
  return [...byName.values()];
}

export function envName(entry: string): string {
  return entry.split('=', 1)[0]!;
}
