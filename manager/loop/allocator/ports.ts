import { PortConfig, PublishMode, ServiceState } from '../../../proto/index.ts';
import { LIMITS } from '../../../shared/limits.ts';
import type { View } from '../../store/view.ts';
import { ingressOwner } from '../published.ts';
import { PoisonedService, type Turn } from '../turn.ts';

/** Stage 3: published ports, one owner each in the whole cluster. */
export function allocatorStage(turn: Turn): void {
  for (const id of turn.endpoints) {
    const state = turn.state(id);
    if (turn.service(id) === undefined || state === undefined || state.quarantine !== '') continue;
    try {
      publish(turn, state);
    } catch (error) {
      throw new PoisonedService(id, error);
    }
  }
}

function publish(turn: Turn, state: ServiceState): void {
  const facts = turn.specs.find(turn.draft, state.id, state.runningRevision);
  if (facts === undefined) return;
  const ports = allocate(turn.draft, state, facts.ports);
  if (samePorts(ports, state.ports)) return;
  turn.draft.put('serviceState', ServiceState.with(state, { ports }));
}

/** What is published, with numbers; ports that another service has are left out. */
function allocate(view: View, state: ServiceState, wished: readonly PortConfig[]): PortConfig[] {
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

function samePorts(a: readonly PortConfig[], b: readonly PortConfig[]): boolean {
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
