import { EndpointMode, EndpointSpec, PortConfig, type Protocol } from '../../proto/index.ts';
import { parsePorts, parseTargetPort } from '../parse/port.ts';
import { parseWord } from '../parse/words.ts';
import type { Flags } from './flags.ts';

const MODES = { vip: EndpointMode.VIP, dnsrr: EndpointMode.DNSRR };

const AFFINITIES = { none: 0, client: 1 };

/** `--publish`, `--endpoint-mode` and `--affinity`. */
export function changeEndpoint(current: EndpointSpec | null, flags: Flags): EndpointSpec | null {
  if (!flags.changes('publish') && !flags.has('endpoint-mode', 'affinity')) return current;
  const base = current ?? EndpointSpec.create();
  return EndpointSpec.with(base, {
    mode: flags.or('endpoint-mode', base.mode, (f, t) => parseWord<EndpointMode>(f, t, MODES)),
    ports: changePorts(base.ports, flags),
    clientAffinity:
      flags.or('affinity', Number(base.clientAffinity), (f, t) => parseWord(f, t, AFFINITIES)) ===
      1,
  });
}

function changePorts(current: readonly PortConfig[], flags: Flags): readonly PortConfig[] {
  const removed = flags.removed('publish').map((text) => parseTargetPort('--publish-rm', text));
  const added = flags
    .added('publish')
    .flatMap((text) => parsePorts('--publish', text))
    .map((port) => PortConfig.create(port));
  const kept = current.filter(
    (port) =>
      !removed.some((r) => r.target === port.target && fits(r.protocol, port.protocol)) &&
      !added.some((a) => samePort(a, port)),
  );
  return [...kept, ...added.filter((port, i) => added.findIndex((a) => samePort(a, port)) === i)];
}

function fits(wanted: Protocol | undefined, has: Protocol): boolean {
  return wanted === undefined || wanted === has;
}

function samePort(a: PortConfig, b: PortConfig): boolean {
  return (
    a.target === b.target &&
    a.published === b.published &&
    a.protocol === b.protocol &&
    a.mode === b.mode &&
    a.bind === b.bind
  );
}
