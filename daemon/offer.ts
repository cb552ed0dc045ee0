import { isAbsolute, normalize } from 'node:path';
import type { HostOffer } from '../proto/index.ts';
import { SwarmError } from '../shared/errors.ts';
import {
  GENERIC_FORM,
  type GenericOffer,
  parseGenericOffers,
} from '../shared/generic-resources.ts';

/** What the operator of this node lets services have of it, in the words in which it was given. */
export interface Offer {
  readonly bindRoots: readonly string[];
  readonly genericResources: readonly string[];
}

export const NO_OFFER: Offer = { bindRoots: [], genericResources: [] };

/** Throws INVALID_ARGUMENT for what can't be read. Lists of directories may be joined by commas. */
export function offerOf(roots: readonly string[], resources: readonly string[]): Offer {
  const bindRoots = roots.flatMap((text) => text.split(',')).map(rootOf);
  genericOffers(resources);
  return { bindRoots, genericResources: resources };
}

/** What a request says; absent: nothing. */
export function requestedOffer(offer: HostOffer | null): Offer {
  return offerOf(offer?.bindRoots ?? [], offer?.genericResources ?? []);
}

/** Both, each once. */
export function joinOffers(kept: Offer | undefined, more: Offer): Offer {
  const join = (a: readonly string[] = [], b: readonly string[] = []) => [...new Set([...a, ...b])];
  return {
    bindRoots: join(kept?.bindRoots, more.bindRoots),
    genericResources: join(kept?.genericResources, more.genericResources),
  };
}

export function genericOffers(texts: readonly string[]): readonly GenericOffer[] {
  const offers = parseGenericOffers(texts, (text) => {
    throw new SwarmError('INVALID_ARGUMENT', `"${text}" is no generic resource: ${GENERIC_FORM}`);
  });
  return offers ?? [];
}

function rootOf(text: string): string {
  if (isAbsolute(text)) return normalize(text);
  throw new SwarmError('INVALID_ARGUMENT', `--bind-roots: "${text}" is no absolute path`);
}
