import { type PortConfig, PublishMode, type ServiceState } from '../../proto/index.ts';
import type { View } from '../store/view.ts';
import type { RevisionFacts } from './specs.ts';

/** The other service that listens on `protocol/port` of every node. */
export function ingressOwner(view: View, key: string, selfId: string): string | undefined {
  for (const state of view.table('serviceState').by('port', key)) {
    if (state.id === selfId) continue;
    const ingress = state.ports.some(
      (port) => port.mode === PublishMode.INGRESS && `${port.protocol}/${port.published}` === key,
    );
    if (ingress) return state.id;
  }
  return undefined;
}

/** The first port of a revision that its service does not have; undefined: it has all. */
export function missingPort(
  state: ServiceState | undefined,
  facts: RevisionFacts,
): PortConfig | undefined {
  return facts.ports.find(
    (port) =>
      !(state?.ports ?? []).some(
        (own) =>
          own.protocol === port.protocol && own.target === port.target && own.mode === port.mode,
      ),
  );
}
