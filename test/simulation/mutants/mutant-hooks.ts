/** A loader: plants one bug into modules as they are loaded (see mutant.ts). */
import type { LoadHook } from 'node:module';
import type { Patch } from './mutant.ts';

let patches: readonly Patch[] = [];

export function initialize(data: { readonly patches: readonly Patch[] }): void {
  patches = data.patches;
}

export const load: LoadHook = async (url, context, nextLoad) => {
  const loaded = await nextLoad(url, context);
  const mine = patches.filter(
    ({ module }) => /\.[jt]s$/.test(url) && url.slice(0, -3).endsWith(`/${module}`),
  );
  if (mine.length === 0) return loaded;
  let source = Buffer.from(loaded.source as Uint8Array).toString();
  for (const { module, find, replace } of mine) {
    const parts = source.split(find);
    if (parts.length !== 2) throw new Error(`${module} has ${parts.length - 1} times: ${find}`);
    source = parts.join(replace);
  }
  return { ...loaded, source };
};
