import type { Init, Ulimit } from '../../proto/index.ts';
import { invalid } from './invalid.ts';

/** "nofile=1024:2048" or "nofile=1024"; -1 is no limit. */
export function parseUlimit(flag: string, text: string): Init<Ulimit> & { readonly name: string } {
  const match = /^([a-z]+)=(-?\d+)(?::(-?\d+))?$/.exec(text);
  if (match === null) throw invalid(flag, text, 'NAME=SOFT[:HARD]');
  const soft = Number(match[2]);
  const hard = match[3] === undefined ? soft : Number(match[3]);
  if (hard >= 0 && (soft < 0 || soft > hard)) throw invalid(flag, text, 'SOFT of at most HARD');
  return { name: match[1]!, soft, hard };
}
