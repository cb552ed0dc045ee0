import type { Filter, Init } from '../../proto/index.ts';
import { invalid } from './invalid.ts';

/** `--filter key=value`, checked against the keys that the command knows. */
export function parseFilters(
  texts: readonly string[] | undefined,
  known: readonly string[],
): readonly Init<Filter>[] {
  return (texts ?? []).map((text) => {
    const at = text.indexOf('=');
    if (at <= 0) throw invalid('--filter', text, 'KEY=VALUE');
    const key = text.slice(0, at);
    if (!known.includes(key)) throw invalid('--filter', text, `one of: ${known.join(', ')}`);
    return { key, value: text.slice(at + 1) };
  });
}
