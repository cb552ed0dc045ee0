/** What a node has of one kind, as its operator declared it. */
export interface GenericOffer {
  readonly kind: string;
  readonly count: number;
  /** One by one, where they have names; none: they are only counted. */
  readonly units: readonly GenericUnit[];
}
export interface GenericUnit {
  readonly name: string;
  /** Devices that come with it. */
  readonly devices: readonly string[];
}

export const GENERIC_FORM = 'KIND=COUNT or KIND=NAME[@DEVICE[+DEVICE...]],...';
export const GENERIC_KIND = /^[a-zA-Z0-9][\w.-]{0,62}$/;
const UNIT = /^([a-zA-Z0-9][\w.:-]{0,63})(?:@(\/[^@+,\s]+(?:\+\/[^@+,\s]+)*))?$/;

/**
 * `gpu=2`, or `gpu=GPU-1@/dev/nvidia0,GPU-2@/dev/nvidia1+/dev/nvidia-uvm`; a kind that is declared again
 * gets more. Undefined: `wrong` was given the first text that can't be read.
 */
export function parseGenericOffers(
  texts: readonly string[],
  wrong: (text: string) => void,
): readonly GenericOffer[] | undefined {
  const offers = new Map<string, GenericOffer>();
  for (const text of texts) {
    const added = offerOf(text);
    const before = added === undefined ? undefined : offers.get(added.kind);
    const joined = added === undefined ? undefined : join(before, added);
    if (joined === undefined) {
      wrong(text);
      return undefined;
    }
    offers.set(joined.kind, joined);
  }
  return [...offers.values()];
}

/** How many there are of each kind, as the scheduler counts. */
export function countsOf(offers: readonly GenericOffer[]): { readonly [kind: string]: number } {
  return Object.fromEntries(offers.map(({ kind, count }) => [kind, count]));
}

function offerOf(text: string): GenericOffer | undefined {
  const at = text.indexOf('=');
  const [kind, value] = [text.slice(0, at), text.slice(at + 1)];
  if (at < 0 || !GENERIC_KIND.test(kind)) return undefined;
  if (/^\d{1,6}$/.test(value)) return { kind, count: Number(value), units: [] };
  const units = value.split(',').map(unitOf);
  if (units.includes(undefined)) return undefined;
  return { kind, count: units.length, units: units as readonly GenericUnit[] };
}

function unitOf(text: string): GenericUnit | undefined {
  const match = UNIT.exec(text);
  if (match === null) return undefined;
  return { name: match[1]!, devices: match[2]?.split('+') ?? [] };
}

/** Undefined where names and numbers are mixed, or a name comes twice. */
function join(before: GenericOffer | undefined, added: GenericOffer): GenericOffer | undefined {
  const units = [...(before?.units ?? []), ...added.units];
  if (new Set(units.map(({ name }) => name)).size < units.length) return undefined;
  const named = added.units.length > 0;
  if (before !== undefined && before.units.length > 0 !== named) return undefined;
  return { kind: added.kind, count: (before?.count ?? 0) + added.count, units };
}
