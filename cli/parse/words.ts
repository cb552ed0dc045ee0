import { invalid } from './invalid.ts';

/** One of a closed set of words. */
export function parseWord<T>(flag: string, text: string, words: { readonly [word: string]: T }): T {
  if (Object.hasOwn(words, text)) return words[text]!;
  const all = Object.keys(words);
  throw invalid(flag, text, `${all.slice(0, -1).join(', ')} or ${all.at(-1)}`);
}
