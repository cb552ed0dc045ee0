import { isIP } from 'node:net';
import { join } from 'node:path';
import type { ContainerSpec } from '../../../proto/index.ts';
import type { Io } from '../../io.ts';

/** Where nothing better is known, as with Docker. */
const PUBLIC_RESOLVERS = ['8.8.8.8', '8.8.4.4'];
const NAMES_ADDRESS = '127.0.0.11';
const HOSTS = `127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::0\tip6-localnet
ff00::0\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
`;

export interface BoundFiles {
  readonly hosts: string;
  readonly hostname: string;
  readonly resolv: string;
}

/** Writes /etc/hosts, /etc/hostname and /etc/resolv.conf of a container. Returns where they are. */
export function writeBoundFiles(
  io: Io,
  directory: string,
  spec: ContainerSpec,
  place: { readonly hostname: string; readonly address: string; readonly names: boolean },
): BoundFiles {
  io.mkdir(directory);
  const files = {
    hosts: join(directory, 'hosts'),
    hostname: join(directory, 'hostname'),
    resolv: join(directory, 'resolv.conf'),
  };
  io.write(files.hosts, hostsFile(spec.hosts, place));
  io.write(files.hostname, `${place.hostname}\n`);
  io.write(files.resolv, resolvFile(io, spec, place.names));
  // Anyone in the container reads them; the directory around them is closed to others.
  for (const path of Object.values(files)) io.chmod(path, 0o644);
  return files;
}

/** Extra entries are `NAME:ADDRESS`, or `ADDRESS NAME` as stored by Docker. */
export function hostsFile(
  extra: readonly string[],
  place: { readonly hostname: string; readonly address: string },
): string {
  const lines = extra.flatMap((entry) => {
    const [first = '', second = ''] = entry.split(/\s+/, 2);
    if (isIP(first) !== 0) return [`${first}\t${second}`];
    const colon = entry.indexOf(':');
    return colon > 0 ? [`${entry.slice(colon + 1)}\t${entry.slice(0, colon)}`] : [];
  });
  return `${HOSTS}${[...lines, `${place.address}\t${place.hostname}`].join('\n')}\n`;
}

function resolvFile(io: Io, spec: ContainerSpec, names: boolean): string {
  const read = (path: string): string => io.read(path)?.toString('utf8') ?? '';
  const text = read('/etc/resolv.conf');
  const behind = reachable(text).length > 0 ? text : read('/run/systemd/resolve/resolv.conf');
  return resolvConf(behind || text, spec, names);
}

/**
 * The host's own, without servers that only the host reaches. With names of networks the node answers,
 * at the address where images expect it, and asks the others.
 */
export function resolvConf(
  host: string,
  spec: Pick<ContainerSpec, 'dns' | 'dnsSearch' | 'dnsOptions'>,
  names: boolean,
): string {
  const found = reachable(host);
  const others = spec.dns.length > 0 ? spec.dns : found.length > 0 ? found : PUBLIC_RESOLVERS;
  const servers = names ? [NAMES_ADDRESS] : others;
  const search = spec.dnsSearch.length > 0 ? spec.dnsSearch : wordsAfter(host, 'search');
  const asked = spec.dnsOptions.length > 0 ? spec.dnsOptions : wordsAfter(host, 'options');
  // A name with a dot may be a task's: it is asked for as it is first.
  const options =
    names && !asked.some((each) => each.startsWith('ndots:')) ? [...asked, 'ndots:0'] : asked;
  const lines = servers.map((server) => `nameserver ${server}`);
  // A single dot stands for none.
  if (search.length > 0 && search[0] !== '.') lines.push(`search ${search.join(' ')}`);
  if (options.length > 0) lines.push(`options ${options.join(' ')}`);
  return `${lines.join('\n')}\n`;
}

function reachable(text: string): readonly string[] {
  return text.split('\n').flatMap((line) => {
    const [key, address = ''] = line.trim().split(/\s+/);
    if (key !== 'nameserver' || isIP(address) !== 4 || address.startsWith('127.')) return [];
    return [address];
  });
}

function wordsAfter(text: string, key: string): readonly string[] {
  const line = text.split('\n').findLast((each) => each.trim().startsWith(`${key} `));
  return line?.trim().split(/\s+/).slice(1) ?? [];
}
