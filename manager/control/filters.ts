import type { Filter } from '../../proto/index.ts';
import { SwarmError } from '../../shared/errors.ts';

/** Key of a filter -> whether a row passes one of its values. */
export type FilterTable<R> = { readonly [key: string]: (row: R, value: string) => boolean };

/**
 * Docker's rule: values of one key are alternatives, all keys must pass. Throws INVALID_ARGUMENT for
 * an unknown key, listing the known ones.
 */
export function compileFilters<R>(
  filters: readonly Filter[],
  table: FilterTable<R>,
): (row: R) => boolean {
  const wanted = new Map<string, string[]>();
  for (const { key, value } of filters) {
    if (!Object.hasOwn(table, key))
      throw new SwarmError(
        'INVALID_ARGUMENT',
        `there is no filter "${key}": use ${Object.keys(table).sort().join(', ')}`,
      );
    wanted.set(key, [...(wanted.get(key) ?? []), value]);
  }
  return (row) =>
    [...wanted].every(([key, values]) => values.some((value) => table[key]!(row, value)));
}

/** `KEY` or `KEY=VALUE`. */
export function hasLabel(labels: { readonly [key: string]: string }, wanted: string): boolean {
  const at = wanted.indexOf('=');
  if (at < 0) return Object.hasOwn(labels, wanted);
  const key = wanted.slice(0, at);
  return Object.hasOwn(labels, key) && labels[key] === wanted.slice(at + 1);
}

/** The number of a word of an enum; INVALID_ARGUMENT lists the words. */
export function enumFilter(
  value: string,
  words: { readonly [word: string]: number },
  key: string,
): number {
  const number = words[value.toUpperCase().replaceAll('-', '_')];
  if (number !== undefined) return number;
  const allowed = Object.keys(words).map((word) => word.toLowerCase().replaceAll('_', '-'));
  throw new SwarmError(
    'INVALID_ARGUMENT',
    `filter ${key}: "${value}" is none of ${allowed.join(', ')}`,
  );
}
