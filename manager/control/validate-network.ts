import { NetworkSpec, Subnet } from '../../proto/index.ts';
import { SwarmError } from '../../shared/errors.ts';
import { LIMITS } from '../../shared/limits.ts';
import {
  contains,
  endOf,
  formatPrefix,
  overlaps,
  type Prefix,
  parsePrefix,
} from '../../shared/prefix.ts';
import { isPredefined } from '../loop/addressing/predefined.ts';
import { check, checkLabels, checkText, invalid } from './field.ts';

const NAME = /^[a-zA-Z0-9](?:[a-zA-Z0-9_-]*[a-zA-Z0-9])?$/;
/** IPv6 has a least size of packets (RFC 8200 section 5). */
const IPV6_MTU_MIN = 1_280;
/** The second address is made of the prefix and the whole first one. */
const IPV6_LENGTH_MAX = 96;
/** Prefixes that mean something else to every host. */
const SPECIAL = [
  '0.0.0.0/8',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '224.0.0.0/3',
  'fe80::/10',
  'ff00::/8',
].map((text) => parsePrefix(text)!);
const OPTIONS = ['encrypted', 'mtu', 'com.docker.network.driver.mtu'];

/**
 * The spec as it is kept: options that have fields are in them, prefixes in their one form. Throws
 * INVALID_SPEC, naming the field and what is allowed, or UNSUPPORTED. What depends on the state of
 * the cluster is checked where the row is written.
 */
export function acceptedNetwork(asked: NetworkSpec): NetworkSpec {
  validateName(asked.name);
  checkLabels(asked.labels, 'labels', LIMITS.labelBytesMax);
  if (asked.driver !== '' && asked.driver !== 'overlay')
    throw new SwarmError('UNSUPPORTED', `driver: there is no network driver "${asked.driver}"`, {
      advice: 'Leave --driver out: networks of the cluster are overlays.',
    });
  const spec = withOptions(NetworkSpec.with(asked, { driver: 'overlay' }));
  validateMtu(spec);
  return NetworkSpec.with(spec, { subnets: acceptedSubnets(spec) });
}

function validateName(name: string): void {
  check(
    name.length <= LIMITS.networkNameMax && NAME.test(name),
    'name',
    name === '' ? 'it is empty' : `"${name.slice(0, 100)}" is no network name`,
    `1 to ${LIMITS.networkNameMax} letters and digits, with - and _ inside`,
  );
  check(!isPredefined(name), 'name', `${name} is there already, on every node`, 'another name');
}

/** Docker's options that are fields here. What nobody would heed is refused. */
function withOptions(spec: NetworkSpec): NetworkSpec {
  let { encrypted, mtu } = spec;
  for (const [key, value] of Object.entries(spec.options)) {
    checkText(value, `options.${key}`);
    check(OPTIONS.includes(key), 'options', `"${key}" is not known`, OPTIONS.join(', '));
    if (key === 'encrypted') {
      check(
        ['', 'true', 'false'].includes(value),
        'options.encrypted',
        `"${value}"`,
        'true, false',
      );
      encrypted ||= value !== 'false';
    } else {
      check(/^\d{1,5}$/.test(value), `options.${key}`, `"${value}" is no number`, 'bytes');
      mtu ||= Number(value);
    }
  }
  return NetworkSpec.with(spec, { encrypted, mtu });
}

function validateMtu({ mtu, ipv6 }: NetworkSpec): void {
  const min = ipv6 ? IPV6_MTU_MIN : LIMITS.networkMtuMin;
  check(
    mtu === 0 || (mtu >= min && mtu <= LIMITS.networkMtuMax),
    'mtu',
    `${mtu} bytes${ipv6 ? ' with IPv6' : ''}`,
    `${min} to ${LIMITS.networkMtuMax}, or none: what fits between the nodes`,
  );
}

function acceptedSubnets(spec: NetworkSpec): Subnet[] {
  const { subnets } = spec;
  check(
    subnets.length <= LIMITS.subnetsGivenMax,
    'subnets',
    `${subnets.length} subnets`,
    `at most ${LIMITS.subnetsGivenMax}`,
  );
  const prefixes = subnets.map((subnet) => prefixOf(subnet));
  for (const [at, prefix] of prefixes.entries()) {
    const other = prefixes.findIndex((one, before) => before < at && overlaps(one, prefix));
    check(
      other < 0,
      'subnets',
      `${formatPrefix(prefix)} overlaps ${subnets[other]?.cidr}`,
      'subnets apart from each other',
    );
  }
  const second = prefixes.filter(({ family }) => family === 6);
  check(second.length <= 1, 'subnets', `${second.length} IPv6 subnets`, 'one');
  check(second.length === 0 || spec.ipv6, 'ipv6', 'an IPv6 subnet is given', '--ipv6 with it');
  return subnets.map((subnet, at) => {
    const cidr = formatPrefix(prefixes[at]!);
    validateInside(subnet, prefixes[at]!);
    const range = subnet.range === '' ? '' : formatPrefix(parsePrefix(subnet.range)!);
    return Subnet.with(subnet, { cidr, range });
  });
}

function prefixOf({ cidr }: Subnet): Prefix {
  const prefix = cidr.includes('/') ? parsePrefix(cidr) : undefined;
  if (prefix === undefined)
    throw invalid(
      'subnets.cidr',
      `"${cidr.slice(0, 100)}" is no subnet`,
      '10.1.0.0/16 and the like',
    );
  const [min, max] =
    prefix.family === 4
      ? [LIMITS.subnetLengthMin, LIMITS.subnetLengthMax]
      : [LIMITS.subnetLengthMin, IPV6_LENGTH_MAX];
  check(
    prefix.length >= min && prefix.length <= max,
    'subnets.cidr',
    `${cidr} has a length of ${prefix.length}`,
    `/${min} to /${max}`,
  );
  const special = SPECIAL.find((one) => overlaps(one, prefix));
  check(
    special === undefined,
    'subnets.cidr',
    `${cidr} is in ${special === undefined ? '' : formatPrefix(special)}, which has a meaning of its own`,
    'a private prefix, such as 10.1.0.0/16',
  );
  return prefix;
}

function validateInside({ cidr, gateway, range }: Subnet, prefix: Prefix): void {
  if (gateway !== '') {
    const address = gateway.includes('/') ? undefined : parsePrefix(gateway);
    const first = prefix.base;
    const last = endOf(prefix) - 1n;
    const inside = address !== undefined && contains(prefix, address);
    check(
      inside && address.base !== first && (prefix.family === 6 || address.base !== last),
      'subnets.gateway',
      `"${gateway}" is no address of ${cidr}`,
      'an address of the subnet, but the first and the last',
    );
  }
  if (range === '') return;
  const inner = parsePrefix(range);
  check(
    inner !== undefined && contains(prefix, inner) && prefix.family === 4,
    'subnets.range',
    `"${range}" is no part of ${cidr}`,
    'a prefix inside the subnet (IPv4)',
  );
}
