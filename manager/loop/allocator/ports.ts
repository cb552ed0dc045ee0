import { PortConfig, PublishMode, type ServiceState } from '../../../proto/index.ts';
import { LIMITS } from '../../../shared/limits.ts';
import type { View } from '../../store/view.ts';
import { ingressOwner } from '../published.ts';

/** What is published, with numbers; ports that another service has are left out. */
export function allocatePorts(
  view: View,
  state: ServiceState,
  wished: readonly PortConfig[],
): PortConfig[] {
  const ports: PortConfig[] = [];
  const own = new Set(
    wished.filter(isFixedIngress).map((port) => `${port.protocol}/${port.published}`),
  );
  for (const port of wished) {
    if (port.mode === PublishMode.HOST) {
      ports.push(port);
      continue;
    }
    const published = port.published || dynamicPort(view, state, port, own);
    const key = `${port.protocol}/${published}`;
    if (published === 0 || ingressOwner(view, key, state.id) !== undefined) continue;
    own.add(key);
    ports.push(published === port.published ? port : PortConfig.with(port, { published }));
  }
  return ports;
}

function isFixedIngress(port: PortConfig): boolean {
  return port.mode === PublishMode.INGRESS && port.published > 0;
}

/** The number it had, else the first free one; 0 when none is free. */
function dynamicPort(
  view: View,
  state: ServiceState,
  port: PortConfig,
  own: ReadonlySet<string>,
): number {
  const isFree = (published: number) => {
    const key = `${port.protocol}/${published}`;
    return !own.has(key) && ingressOwner(view, key, state.id) === undefined;
  };
  const before = state.ports.find(
    (old) =>
      old.mode === PublishMode.INGRESS &&
      old.protocol === port.protocol &&
      old.target === port.target &&
      old.published >= LIMITS.dynamicPortMin &&
      old.published <= LIMITS.dynamicPortMax,
  );
  if (before !== undefined && isFree(before.published)) return before.published;
  for (let at = LIMITS.dynamicPortMin; at <= LIMITS.dynamicPortMax; at++) if (isFree(at)) return at;
  return 0;
}

export function samePorts(a: readonly PortConfig[], b: readonly PortConfig[]): boolean {
  if (a.length !== b.length) return false;
  return a.every((port, at) => {
    const other = b[at]!;
    return (
      port.protocol === other.protocol &&
      port.target === other.target &&
      port.published === other.published &&
      port.mode === other.mode &&
      port.bind === other.bind &&
      port.proxyProtocolV2 === other.proxyProtocolV2
    );
  });
}
