import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { networkInterfaces } from 'node:os';
import { SwarmError } from '../shared/errors.ts';
import { DEFAULTS } from '../shared/limits.ts';

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

export interface Advertised extends HostPort {
  /** True when no route leads out: the cluster is this machine only. */
  readonly loopbackOnly: boolean;
}

/** `host`, `host:port`, `[v6]:port`, or the name of an interface. */
export function parseHostPort(text: string, defaultPort: number = DEFAULTS.controlPort): HostPort {
  const match = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d{1,5}))?$/.exec(text);
  const host = match?.[1] ?? match?.[2] ?? (isIP(text) ? text : undefined);
  const port = match?.[3] === undefined ? defaultPort : Number(match[3]);
  if (host === undefined || port < 1 || port > 65_535) {
    throw new SwarmError('INVALID_ARGUMENT', `"${text}" is not an address`, {
      advice: 'Give HOST, HOST:PORT, [IPV6]:PORT or the name of an interface.',
    });
  }
  return { host: interfaceAddress(host) ?? host, port };
}

export function formatHostPort({ host, port }: HostPort): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** What other nodes dial: as given, else the address with the default route, else loopback. */
export function advertise(given: string, listenPort: number): Advertised {
  if (given !== '') {
    const asked = parseHostPort(given, listenPort);
    return { ...asked, loopbackOnly: asked.host.startsWith('127.') || asked.host === '::1' };
  }
  const device = defaultRouteDevice();
  const host = device === undefined ? undefined : interfaceAddress(device);
  return { host: host ?? '127.0.0.1', port: listenPort, loopbackOnly: host === undefined };
}

function interfaceAddress(name: string): string | undefined {
  const addresses = networkInterfaces()[name] ?? [];
  const v4 = addresses.find((a) => a.family === 'IPv4');
  return (v4 ?? addresses.find((a) => !a.address.startsWith('fe80')))?.address;
}

function defaultRouteDevice(): string | undefined {
  let table: string;
  try {
    table = readFileSync('/proc/net/route', 'utf8');
  } catch {
    return undefined;
  }
  for (const line of table.split('\n').slice(1)) {
    const [device, destination, , , , , , mask] = line.split('\t');
    if (destination === '00000000' && mask === '00000000') return device;
  }
  return undefined;
}

export interface Addresses {
  readonly listen: string;
  readonly advertise: string;
  /** Without a port: published ports and task ports answer there. */
  readonly publish: string;
  /** Nobody gave the former. */
  readonly publishesEverywhere: boolean;
  /** True where the advertised one was found, not given. */
  readonly detected: boolean;
  /** Where containers of other nodes reach those of this one; empty: the advertised host. */
  readonly dataPath: string;
  readonly warnings: readonly string[];
}

/** What `init` and `join` were given, completed. Throws INVALID_ARGUMENT. */
export function addressesOf(given: {
  readonly listenAddress: string;
  readonly advertiseAddress: string;
  readonly publishAddress: string;
  readonly dataPathAddress?: string;
}): Addresses {
  const listen = parseHostPort(given.listenAddress || '0.0.0.0');
  const fixed = given.advertiseAddress === '' && !isWildcard(listen.host) ? listen.host : '';
  const advertised = advertise(given.advertiseAddress || fixed, listen.port);
  const publish =
    given.publishAddress === '' ? advertised.host : parseHostPort(given.publishAddress).host;
  const warnings = advertised.loopbackOnly
    ? [
        `advertised as ${advertised.host}: nodes on other machines cannot reach it (--advertise-addr)`,
      ]
    : [];
  return {
    listen: formatHostPort(listen),
    advertise: formatHostPort(advertised),
    publish,
    publishesEverywhere: given.publishAddress === '',
    dataPath: given.dataPathAddress ? parseHostPort(given.dataPathAddress).host : '',
    detected: given.advertiseAddress === '' && fixed === '',
    warnings,
  };
}

function isWildcard(host: string): boolean {
  return host === '0.0.0.0' || host === '::';
}

/** Where published ports of an interface are reached; none: it is not there, or has no address. */
export function addressesOfInterface(name: string): readonly string[] {
  const addresses = networkInterfaces()[name] ?? [];
  // One that is valid on its link alone cannot be listened on without naming the link.
  return addresses.map(({ address }) => address).filter((one) => !/^fe[89ab]/i.test(one));
}
