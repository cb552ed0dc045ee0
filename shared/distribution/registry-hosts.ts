import { isIP } from 'node:net';
import { join } from 'node:path';
import { messageOf } from '../errors.ts';
import type { TlsTrust } from './http.ts';
import { ImageError } from './image-error.ts';
import { parseToml, type TomlTable, type TomlValue } from './toml.ts';

/** The machine's files, as far as they are needed here. */
export interface ConfigFiles {
  /** Names in a directory; none when it is not there. */
  list(path: string): readonly string[];
  /** Undefined when there is no such file. */
  read(path: string): Uint8Array | undefined;
}

/** Where containerd and Docker look for what an operator says of registries. */
export const REGISTRY_DIRECTORIES: readonly string[] = [
  '/etc/containerd/certs.d',
  '/etc/docker/certs.d',
];

/** One address under which the images of a registry are found. */
export interface RegistryHost {
  /** Up to and with `/v2/`. */
  readonly base: URL;
  /** It gives blobs and manifests by digest. */
  readonly pulls: boolean;
  /** It says what a tag stands for. */
  readonly resolves: boolean;
  /** The registry itself: the only one that gets credentials. Others are told whose images are meant. */
  readonly isUpstream: boolean;
  readonly trust: TlsTrust;
  /** Sent with every request. */
  readonly headers: { readonly [name: string]: string };
}

/**
 * The addresses of the registry `host` in the order in which they are tried, mirrors first: from
 * `hosts.toml` in containerd's layout, else the registry alone with the `*.crt`, `*.cert` and `*.key`
 * files of its directory. Read anew each time: a change needs no restart. Throws ImageError PULL_FAILED
 * for a file that can't be understood.
 */
export function registryHosts(
  files: ConfigFiles,
  directories: readonly string[],
  host: string,
): readonly RegistryHost[] {
  for (const directory of directories) {
    for (const name of [host, host.replace(/:(\d+)$/, '_$1_'), '_default']) {
      const place = join(directory, name);
      const text = files.read(join(place, 'hosts.toml'));
      if (text !== undefined)
        return hostsOf(files, place, Buffer.from(text).toString('utf8'), host);
    }
  }
  const places = directories.map((directory) => join(directory, host));
  return [upstream(defaultBase(host), { trust: plainFiles(files, places), headers: {} })];
}

/** True for addresses of this machine's loopback, which are spoken to without TLS. */
export function isLoopback(hostname: string): boolean {
  const name = hostname.replaceAll(/[[\]]/g, '');
  return name === 'localhost' || name === '::1' || (isIP(name) === 4 && name.startsWith('127.'));
}

function defaultBase(host: string): URL {
  const name = host === 'docker.io' ? 'registry-1.docker.io' : host;
  const plain = isLoopback(name.replace(/:\d+$/, ''));
  return new URL(`${plain ? 'http' : 'https'}://${name}/v2/`);
}

function upstream(base: URL, parts: Pick<RegistryHost, 'trust' | 'headers'>): RegistryHost {
  return { base, pulls: true, resolves: true, isUpstream: true, ...parts };
}

function hostsOf(
  files: ConfigFiles,
  place: string,
  text: string,
  host: string,
): readonly RegistryHost[] {
  try {
    const document = parseToml(text);
    const tables = document['host'];
    const mirrors = isTable(tables) ? Object.entries(tables) : [];
    const { server } = document;
    const base = typeof server === 'string' ? baseOf(server, document) : defaultBase(host);
    return [
      ...mirrors.map(([url, table]) => mirrorOf(files, place, url, table, base)),
      upstream(base, connectionOf(files, place, document)),
    ];
  } catch (error) {
    const path = join(place, 'hosts.toml');
    throw new ImageError('PULL_FAILED', `can't read ${path}: ${messageOf(error)}`, false, error);
  }
}

function mirrorOf(
  files: ConfigFiles,
  place: string,
  url: string,
  table: TomlValue,
  upstreamBase: URL,
): RegistryHost {
  if (!isTable(table)) throw new Error(`host ${url} is no table`);
  const can = texts(table['capabilities']);
  const base = baseOf(url, table);
  return {
    base,
    pulls: can.length === 0 || can.includes('pull'),
    resolves: can.length === 0 || can.includes('resolve'),
    isUpstream: base.host === upstreamBase.host,
    ...connectionOf(files, place, table),
  };
}

/** An address without a path has the protocol's own; another one gets it behind, unless it is whole. */
function baseOf(url: string, table: TomlTable): URL {
  const text = /^[a-z]+:\/\//.test(url) ? url : `https://${url}`;
  if (!URL.canParse(text)) throw new Error(`${url} is no address`);
  const base = new URL(text);
  if (base.protocol !== 'https:' && base.protocol !== 'http:')
    throw new Error(`${url} is neither http nor https`);
  const path = base.pathname.replace(/\/+$/, '');
  const whole = table['override_path'] === true || /\/v2$/.test(path);
  base.pathname = whole ? `${path}/` : `${path}/v2/`;
  return base;
}

function connectionOf(
  files: ConfigFiles,
  place: string,
  table: TomlTable,
): Pick<RegistryHost, 'trust' | 'headers'> {
  const ca = texts(table['ca']).map((path) => needed(files, under(place, path)));
  const pairs = clientPairs(table['client']).map(([cert, key]) => ({
    cert: needed(files, under(place, cert)),
    key: needed(files, under(place, key)),
  }));
  const given = isTable(table['header']) ? Object.entries(table['header']) : [];
  return {
    trust: {
      ...(ca.length > 0 ? { ca: ca.join('\n') } : {}),
      ...(pairs[0] ? pairs[0] : {}),
      ...(table['skip_verify'] === true ? { rejectUnauthorized: false } : {}),
    },
    headers: Object.fromEntries(
      given.map(([name, value]) => [name.toLowerCase(), texts(value).join(', ')]),
    ),
  };
}

/** `"both.pem"`, `["a.pem", …]` or `[["a.cert", "a.key"], …]`. */
function clientPairs(value: TomlValue | undefined): readonly [string, string][] {
  const items = typeof value === 'string' ? [value] : Array.isArray(value) ? value : [];
  return items.map((item: TomlValue) => {
    const [cert = '', key = cert] = texts(item);
    return [cert, key];
  });
}

/** Docker's own layout: authorities in `*.crt`, a client's certificate in `*.cert` with its `*.key`. */
function plainFiles(files: ConfigFiles, places: readonly string[]): TlsTrust {
  const named = places.flatMap((place) => files.list(place).map((name) => join(place, name)));
  const ca = named.filter((path) => path.endsWith('.crt')).map((path) => needed(files, path));
  const cert = named.find((path) => path.endsWith('.cert'));
  const key = cert?.replace(/\.cert$/, '.key');
  return {
    ...(ca.length > 0 ? { ca: ca.join('\n') } : {}),
    ...(cert && key && named.includes(key)
      ? { cert: needed(files, cert), key: needed(files, key) }
      : {}),
  };
}

function needed(files: ConfigFiles, path: string): string {
  const bytes = files.read(path);
  if (bytes === undefined) throw new Error(`${path} is not there`);
  return Buffer.from(bytes).toString('utf8');
}

function under(place: string, path: string): string {
  return path.startsWith('/') ? path : join(place, path);
}

function isTable(value: TomlValue | undefined): value is TomlTable {
  return typeof value === 'object' && !Array.isArray(value);
}

function texts(value: TomlValue | undefined): readonly string[] {
  if (typeof value === 'string') return [value];
  return Array.isArray(value) ? value.filter((each) => typeof each === 'string') : [];
}
