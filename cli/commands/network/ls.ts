import { ControlService, type NetworkView } from '../../../proto/index.ts';
import { column, type Row } from '../../output/list.ts';
import { printable } from '../../output/printable.ts';
import type { Flags } from '../../spec/flags.ts';
import { listVerb } from '../list-verb.ts';
import { shortId } from '../shared-options.ts';

export const ls = listVerb({
  method: ControlService.listNetworks,
  filters: ['driver', 'id', 'label', 'name', 'scope', 'type'],
  columns: [
    column('NETWORK ID', 'ID'),
    column('NAME', 'Name'),
    column('DRIVER', 'Driver'),
    column('SCOPE', 'Scope'),
    column('SUBNETS', 'Subnets'),
    column('ADDRESSES', 'Addresses'),
    column('SERVICES', 'Services'),
    column('STATUS', 'Status'),
  ],
  rows: ({ networks }, flags) => networks.map((view) => networkRow(view, flags)),
});

function networkRow(view: NetworkView, flags: Flags): Row {
  const network = view.network!;
  const isLocal = view.predefined && view.state === null;
  return {
    ID: shortId(network.id, flags),
    Name: printable(network.spec?.name ?? ''),
    Driver: network.spec?.driver ?? '',
    Scope: isLocal ? 'local' : 'swarm',
    Subnets: subnetsText(view, flags),
    Addresses: isLocal ? '' : addressesText(view),
    Services: isLocal ? '' : view.services,
    Status: isLocal ? '' : statusText(view),
    Internal: network.spec?.internal ?? false,
    IPv6: network.spec?.ipv6 ?? false,
    Encrypted: network.spec?.encrypted ?? false,
    Labels: Object.entries(network.spec?.labels ?? {})
      .map(([key, value]) => printable(`${key}=${value}`))
      .join(','),
  };
}

/** How many of those that there are: a network of the pool grows when they are all given. */
export function addressesText(view: NetworkView): string {
  return `${view.addressesUsed}/${view.addresses}`;
}

const SUBNETS_SHOWN = 2;

function subnetsText(view: NetworkView, flags: Flags): string {
  const cidrs = (view.state?.subnets ?? []).map(({ cidr }) => cidr);
  const shown = flags.is('no-trunc') ? cidrs : cidrs.slice(0, SUBNETS_SHOWN);
  const more = cidrs.length - shown.length;
  return shown.join(' ') + (more > 0 ? ` and ${more} more` : '');
}

export function statusText(view: NetworkView): string {
  if (view.network?.removing) return 'being removed';
  if (view.state === null) return 'new';
  const { problem } = view.state;
  return problem === '' ? 'ready' : printable(problem.slice(problem.indexOf('|') + 1));
}
