import { NetworkDefaults } from '../../proto/index.ts';
import { SwarmError } from '../../shared/errors.ts';
import { DEFAULTS, LIMITS } from '../../shared/limits.ts';
import { formatPrefix, overlaps, type Prefix, parsePrefix } from '../../shared/prefix.ts';

const PORT_MIN = 1_024;
const PORT_MAX = 49_151;

/**
 * The pools of a new cluster, completed: they are written out, so that a later release with other
 * defaults changes nothing. Throws INVALID_ARGUMENT, naming the flag and what is allowed.
 */
export function acceptedDefaults(given: NetworkDefaults | null): NetworkDefaults {
  const subnetLength = given?.subnetLength || DEFAULTS.subnetLength;
  const dataPort = given?.dataPort || DEFAULTS.dataPort;
  if (subnetLength < LIMITS.subnetLengthMin || subnetLength > LIMITS.subnetLengthMax)
    throw refused(
      `--default-addr-pool-mask-length ${subnetLength}`,
      `${LIMITS.subnetLengthMin} to ${LIMITS.subnetLengthMax}`,
    );
  if (dataPort < PORT_MIN || dataPort > PORT_MAX)
    throw refused(`--data-path-port ${dataPort}`, `${PORT_MIN} to ${PORT_MAX}`);
  const pools: Prefix[] = [];
  for (const text of given?.addressPools ?? []) {
    const pool = poolOf(text, subnetLength);
    const other = pools.find((one) => overlaps(one, pool));
    if (other !== undefined)
      throw refused(
        `--default-addr-pool ${text}`,
        `pools apart: it overlaps ${formatPrefix(other)}`,
      );
    pools.push(pool);
  }
  const addressPools = pools.length > 0 ? pools.map(formatPrefix) : DEFAULTS.addressPools;
  return NetworkDefaults.create({ addressPools, subnetLength, dataPort });
}

function poolOf(text: string, subnetLength: number): Prefix {
  const pool = text.includes('/') ? parsePrefix(text) : undefined;
  if (pool?.family !== 4)
    throw refused(`--default-addr-pool ${text.slice(0, 100)}`, 'IPv4 prefixes such as 10.0.0.0/8');
  if (pool.length < LIMITS.subnetLengthMin || pool.length > subnetLength)
    throw refused(
      `--default-addr-pool ${text}`,
      `/${LIMITS.subnetLengthMin} to /${subnetLength}, the length of the subnets cut of it`,
    );
  return pool;
}

function refused(what: string, allowed: string): SwarmError {
  return new SwarmError('INVALID_ARGUMENT', `${what} cannot be`, {
    advice: `Allowed: ${allowed}.`,
    command: 'swarm init --help',
  });
}
