import { parseLabel } from '../parse/key-value.ts';
import type { Flags } from './flags.ts';

type StringMap = { readonly [key: string]: string };

/** `--x-rm` first, then `--x-add`: an entry with the key of an added one gives way, order is kept. */
export function changeList<T>(
  current: readonly T[],
  added: readonly T[],
  removed: readonly string[],
  keyOf: (item: T) => string,
): readonly T[] {
  const byKey = new Map<string, T>();
  for (const item of current) if (!removed.includes(keyOf(item))) byKey.set(keyOf(item), item);
  for (const item of added) byKey.set(keyOf(item), item);
  return [...byKey.values()];
}

/** The same for plain words, each of which is its own key. */
export function changeWords(
  current: readonly string[],
  flags: Flags,
  name: string,
): readonly string[] {
  if (!flags.changes(name)) return current;
  return changeList(current, flags.added(name), flags.removed(name), (word) => word);
}

/** Labels and other maps: removed by key, added as KEY=VALUE. */
export function changeMap(current: StringMap, flags: Flags, name: string): StringMap {
  if (!flags.changes(name)) return current;
  const out = new Map(Object.entries(current));
  for (const key of flags.removed(name)) out.delete(key);
  for (const text of flags.added(name)) out.set(...parseLabel(`--${name}`, text));
  return Object.fromEntries(out);
}
