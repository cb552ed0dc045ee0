import { liveFiles } from './live-files.ts';
import { commandLines, environmentOf } from './processes.ts';

/** Files that are there to hold keys: 0600 in a directory of 0700. */
const KEY_FILES = new Set(['identity.pem', 'join.key', 'data.key']);

/**
 * Where a token's secret or a private key can be read: arguments and environment of processes, and
 * every file under `dir` but those that are there to hold keys.
 */
export function findSecrets(dir: string, tokens: readonly string[], outputs: string): string[] {
  const secrets = tokens.map((token) => token.split('-').at(-1)!);
  const holds = (text: string): boolean =>
    secrets.some((secret) => text.includes(secret)) || /PRIVATE KEY|SWMTKN-1-\w+-\w+/.test(text);
  const ours = commandLines().filter(({ words }) => words.some((word) => word.includes('swarm')));
  const found: string[] = [];
  for (const { pid, words } of ours) {
    const whose = `of ${pid}: ${words.slice(0, 3).join(' ')}`;
    if (holds(words.join(' '))) found.push(`arguments ${whose}`);
    if (holds(environmentOf(pid))) found.push(`environment ${whose}`);
  }
  for (const { path, bytes } of liveFiles(dir)) {
    if (KEY_FILES.has(path.split('/').at(-1)!)) continue;
    if (holds(bytes.toString('latin1'))) found.push(path);
  }
  if (holds(outputs)) found.push('what was printed');
  return found;
}
