import { networkChange } from './network-change.ts';
import { networkNames } from './network-names.ts';
import { networkReach } from './network-reach.ts';
import { networkTraffic } from './network-traffic.ts';

const PARTS: { readonly [name: string]: () => Promise<void> } = {
  names: networkNames,
  change: networkChange,
  reach: networkReach,
  traffic: networkTraffic,
};

export const NETWORK_PARTS = Object.keys(PARTS);

/** Networks of a node, as root. `npm run bench -- network [PART…]`: all parts, or the ones named. */
export async function network(args: readonly string[]): Promise<void> {
  for (const [name, part] of Object.entries(PARTS))
    if (args.length === 0 || args.includes(name)) await part();
}
