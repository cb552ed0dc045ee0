import { type Init, type PortConfig, Protocol, PublishMode } from '../../proto/index.ts';
import { SwarmError } from '../../shared/errors.ts';
import { PORT_BIND_TEXT, parsePortBind } from '../../shared/port-bind.ts';
import { invalid } from './invalid.ts';
import { parseFields } from './key-value.ts';
import { parseBoolean, parseWhole } from './number.ts';
import { parseWord } from './words.ts';

type Port = Init<PortConfig>;

const PROTOCOLS = { tcp: Protocol.TCP, udp: Protocol.UDP };
const MODES = { ingress: PublishMode.INGRESS, host: PublishMode.HOST };
const SHORT =
  /^(?:(\[[0-9a-fA-F:.]+\]|\d+(?:\.\d+)+|[A-Za-z][\w./-]*):)?(?:(\d+)(?:-(\d+))?:)?(\d+)(?:-(\d+))?(?:\/(\w+))?$/;
const EXPECTED = '8080:80, 8080:80/udp, 8000-8003:80-83 or published=8080,target=80';

/** One `--publish`, short (8080:80/tcp, ranges, bound) or long (published=8080,target=80,…). */
export function parsePorts(flag: string, text: string): readonly Port[] {
  return /(^|,)\s*\w[\w-]*=/.test(text) ? [longForm(flag, text)] : shortForm(flag, text);
}

function shortForm(flag: string, text: string): readonly Port[] {
  const match = SHORT.exec(text);
  if (match === null) throw invalid(flag, text, EXPECTED);
  const [, address, publishedFrom, publishedTo, targetFrom, targetTo, word] = match;
  const protocol = parseWord(flag, (word ?? 'tcp').toLowerCase(), PROTOCOLS);
  const bind = (address ?? '').replace(/^\[|\]$/g, '');
  if (parsePortBind(bind) === undefined)
    throw invalid(flag, text, `${PORT_BIND_TEXT} before the port`);
  const targets = range(flag, targetFrom!, targetTo);
  const published = publishedFrom === undefined ? [] : range(flag, publishedFrom, publishedTo);
  if (published.length > 0 && published.length !== targets.length)
    throw invalid(flag, text, 'ranges of the same length on both sides');
  return targets.map((target, i) => ({
    protocol,
    target,
    published: published[i] ?? 0,
    mode: PublishMode.INGRESS,
    ...(bind === '' ? {} : { bind }),
  }));
}

function range(flag: string, from: string, to: string | undefined): readonly number[] {
  const first = parseWhole(flag, from, 1, 65_535);
  const last = parseWhole(flag, to ?? from, 1, 65_535);
  if (last < first) throw invalid(flag, `${from}-${to}`, 'a range that rises');
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}

function longForm(flag: string, text: string): Port {
  const port: { -readonly [K in keyof PortConfig]?: PortConfig[K] } = {
    protocol: Protocol.TCP,
    mode: PublishMode.INGRESS,
    published: 0,
  };
  for (const [key, value] of parseFields(flag, text)) {
    if (key === 'published' || key === 'publish')
      port.published = parseWhole(flag, value, 0, 65_535);
    else if (key === 'target') port.target = parseWhole(flag, value, 1, 65_535);
    else if (key === 'protocol') port.protocol = parseWord(flag, value.toLowerCase(), PROTOCOLS);
    else if (key === 'mode') port.mode = parseWord(flag, value.toLowerCase(), MODES);
    else if (key === 'bind' || key === 'host_ip') port.bind = value;
    else if (key === 'proxy-protocol') port.proxyProtocolV2 = proxyProtocol(flag, value);
    else throw invalid(flag, key, 'published, target, protocol, mode, bind or proxy-protocol');
  }
  if (port.target === undefined)
    throw new SwarmError('INVALID_ARGUMENT', `${flag} "${text}" has no target=PORT.`);
  return port;
}

function proxyProtocol(flag: string, value: string): boolean {
  if (value === 'v2') return true;
  if (value === 'off') return false;
  if (/^(true|false|1|0)$/i.test(value)) return parseBoolean(flag, value);
  throw invalid(flag, `proxy-protocol=${value}`, 'proxy-protocol=v2');
}

/** What a `--publish-rm` names: a target port, with or without its protocol. */
export function parseTargetPort(
  flag: string,
  text: string,
): { readonly target: number; readonly protocol: Protocol | undefined } {
  const match = /^(?:\d+:)?(\d+)(?:\/(\w+))?$/.exec(text);
  if (match === null) throw invalid(flag, text, 'a target port such as 80 or 53/udp');
  return {
    target: parseWhole(flag, match[1]!, 1, 65_535),
    protocol: match[2] === undefined ? undefined : parseWord(flag, match[2], PROTOCOLS),
  };
}
