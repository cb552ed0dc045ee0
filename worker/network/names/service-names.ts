import { isIP } from 'node:net';
import type { NetworkEndpoint, NetworkService } from '../../../proto/index.ts';
import { parseIpv4, parseIpv6 } from '../../../shared/prefix.ts';
import { takesLoad } from '../router/plan-services.ts';

/** What a name stands for; both empty: it is there, and nobody is ready. */
export interface Addresses {
  readonly four: readonly Uint8Array[];
  readonly six: readonly Uint8Array[];
}

/** The names that one service has on one network, without the network's own behind. */
export function namesOf(row: NetworkService): ReadonlyMap<string, Addresses> {
  const names = new Map<string, Addresses>();
  const put = (name: string, addresses: Addresses): void => {
    names.set(name.toLowerCase(), addresses);
  };
  const isVirtual = row.address !== '' || row.address6 !== '';
  const virtual = addressesOf([row]);
  const aliases = new Set(row.endpoints.flatMap((endpoint) => endpoint.aliases));
  for (const alias of aliases) {
    const behind = row.endpoints.filter((each) => each.aliases.includes(alias));
    const ready = addressesOf(behind.filter(takesLoad));
    put(alias, isVirtual ? virtual : ready);
    put(`tasks.${alias}`, ready);
  }
  const ready = addressesOf(row.endpoints.filter(takesLoad));
  put(row.serviceName, isVirtual ? virtual : ready);
  put(`tasks.${row.serviceName}`, ready);
  for (const endpoint of row.endpoints)
    put(taskName(row, endpoint), addressesOf(takesLoad(endpoint) ? [endpoint] : []));
  return names;
}

/** Which name each address has, without the network's own behind: also those that are not ready. */
export function holdersOf(row: NetworkService): ReadonlyMap<string, string> {
  const holders = new Map<string, string>();
  for (const address of [row.address, row.address6]) holders.set(address, row.serviceName);
  for (const endpoint of row.endpoints)
    for (const address of [endpoint.address, endpoint.address6])
      holders.set(address, taskName(row, endpoint));
  holders.delete('');
  return holders;
}

function taskName(row: NetworkService, { slot, nodeId, taskId }: NetworkEndpoint): string {
  return `${row.serviceName}.${slot > 0 ? slot : nodeId}.${taskId}`;
}

function addressesOf(
  list: readonly { readonly address: string; readonly address6: string }[],
): Addresses {
  return {
    four: list.filter(({ address }) => isIP(address) === 4).map(({ address }) => four(address)),
    six: list.filter(({ address6 }) => isIP(address6) === 6).map(({ address6 }) => six(address6)),
  };
}

function four(address: string): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(parseIpv4(address) ?? 0);
  return bytes;
}

function six(address: string): Uint8Array {
  return Buffer.from((parseIpv6(address) ?? 0n).toString(16).padStart(32, '0'), 'hex');
}
