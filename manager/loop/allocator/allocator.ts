import { ServiceState } from '../../../proto/index.ts';
import { PoisonedService, type Turn } from '../turn.ts';
import { settleNetworks } from './networks.ts';
import { numberNodes } from './node-numbers.ts';
import { allocatePorts, samePorts } from './ports.ts';
import { sameAddresses, virtualAddresses } from './virtual-addresses.ts';

/**
 * Stage 3: numbers of nodes and networks, subnets, and what a service has in the whole cluster: its
 * published ports and its virtual addresses. A task gets its own addresses with its node.
 */
export function allocatorStage(turn: Turn): void {
  numberNodes(turn);
  settleNetworks(turn);
  for (const id of turn.endpoints) {
    const state = turn.state(id);
    if (turn.service(id) === undefined || state === undefined || state.quarantine !== '') continue;
    try {
      settleEndpoint(turn, state);
    } catch (error) {
      throw new PoisonedService(id, error);
    }
  }
}

function settleEndpoint(turn: Turn, state: ServiceState): void {
  const facts = turn.specs.find(turn.draft, state.id, state.runningRevision);
  if (facts === undefined) return;
  const ports = allocatePorts(turn.draft, state, facts.ports);
  const addresses = virtualAddresses(turn, state, facts);
  if (samePorts(ports, state.ports) && sameAddresses(addresses, state.virtualAddresses)) return;
  const after = ServiceState.with(state, { ports, virtualAddresses: addresses });
  turn.draft.put('serviceState', after);
  turn.addresses.serviceChanged(state.id, after);
}
