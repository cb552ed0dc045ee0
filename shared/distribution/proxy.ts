import { BlockList, isIP } from 'node:net';
import { isLoopback } from './registry-hosts.ts';

type Environment = { readonly [name: string]: string | undefined };

/**
 * The proxy that the environment names for this address, by the rules of curl and of Go's programs:
 * `HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`, in capitals or not. Loopback never has one.
 */
export function proxyFor(url: URL, env: Environment): URL | undefined {
  const named = (name: string): string => env[name] || env[name.toLowerCase()] || '';
  const text = named(url.protocol === 'https:' ? 'HTTPS_PROXY' : 'HTTP_PROXY');
  if (text === '' || isLoopback(url.hostname) || isExcepted(url, named('NO_PROXY')))
    return undefined;
  const whole = text.includes('://') ? text : `http://${text}`;
  return URL.canParse(whole) ? new URL(whole) : undefined;
}

function isExcepted(url: URL, list: string): boolean {
  const host = url.hostname.replaceAll(/[[\]]/g, '').toLowerCase();
  const port = url.port || (url.protocol === 'https:' ? '443' : '80');
  return list
    .split(/[\s,]+/)
    .filter(Boolean)
    .some((entry) => entry === '*' || meets(entry.toLowerCase(), host, port));
}

function meets(entry: string, host: string, port: string): boolean {
  if (entry.includes('/')) return inRange(entry, host);
  const [, name = '', wantedPort] = /^(.*?)(?::(\d+))?$/.exec(
    isIP(entry) === 6 ? `[${entry}]` : entry,
  )!;
  if (wantedPort !== undefined && wantedPort !== port) return false;
  const bare = name.replaceAll(/[[\]]/g, '').replace(/^\*?\./, '');
  return host === bare || (isIP(host) === 0 && host.endsWith(`.${bare}`));
}

function inRange(entry: string, host: string): boolean {
  const [address = '', bits] = entry.split('/');
  const family = isIP(address);
  if (family === 0 || isIP(host) !== family) return false;
  const kind = family === 4 ? 'ipv4' : 'ipv6';
  const length = Number(bits);
  if (!Number.isInteger(length) || length < 0 || length > (family === 4 ? 32 : 128)) return false;
  const range = new BlockList();
  range.addSubnet(address, length, kind);
  return range.check(host, kind);
}
