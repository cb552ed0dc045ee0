import {
  Liveness,
  type PortConfig,
  PublishMode,
  type Reason,
  type Service,
  type ServiceState,
} from '../../../proto/index.ts';
import type { View } from '../../store/view.ts';
import { behind } from '../listening.ts';
import type { SlotState } from '../slots.ts';
import { serviceName } from '../specs.ts';
import { portKey, portText } from '../validate-ports.ts';
import type { Around } from './around.ts';
import { why } from './reason.ts';

/** Published ports that other services own, or on which nodes cannot listen. */
export function whyPorts(view: View, service: Service, state: ServiceState | undefined): Reason[] {
  const asked = (service.spec?.endpoint?.ports ?? []).filter((port) => port.published > 0);
  const ports = state === undefined || state.ports.length === 0 ? asked : state.ports;
  const ingress = ports.filter((port) => port.mode === PublishMode.INGRESS);
  const reasons: Reason[] = [];
  for (const port of ingress) {
    const reason = ownedByOther(view, service, port) ?? notListening(view, service, port);
    if (reason !== undefined) reasons.push(reason);
  }
  return reasons;
}

function ownedByOther(view: View, service: Service, port: PortConfig): Reason | undefined {
  for (const state of view.table('serviceState').by('port', portKey(port))) {
    const owner = view.table('service').get(state.id);
    if (state.id === service.id || owner === undefined) continue;
    const own = view.table('serviceState').get(service.id)?.ports ?? [];
    if (own.some((other) => portKey(other) === portKey(port))) continue;
    return why(
      'port-taken',
      `port ${portText(port)} belongs to the service ${serviceName(owner)}`,
      {
        object: owner.id,
        advice: 'Choose another port, or take it from that service.',
        command: `swarm service update --publish-rm ${port.target} ${serviceName(owner)}`,
      },
    );
  }
  return undefined;
}

function notListening(view: View, service: Service, port: PortConfig): Reason | undefined {
  const failed: string[] = [];
  let ready = 0;
  for (const status of view.table('nodeStatus').all()) {
    const node = view.table('node').get(status.id);
    if (node === undefined || status.liveness !== Liveness.READY) continue;
    ready++;
    const failure = status.listenFailures.find(
      (one) => one.port === port.published && one.protocol === port.protocol,
    );
    if (failure !== undefined) failed.push(`${node.name}: ${failure.reason}`);
  }
  if (failed.length === 0) return undefined;
  const where = failed.length === ready ? 'on any node' : `on ${failed.length} of ${ready} nodes`;
  const first = failed.sort()[0]!;
  const name = serviceName(service);
  const { target } = port;
  const move = `swarm service update --publish-rm ${target} --publish-add PORT:${target}`;
  return why(
    'port-taken',
    `${serviceName(service)} cannot listen on ${portText(port)} ${where}: ${first}`,
    {
      object: service.id,
      advice: 'End what has the port there, or choose another one. It is tried again all the time.',
      command: `${move} ${name}`,
      details: failed,
    },
  );
}

/** Nodes that have not told whether the service's ports lead to its tasks there; leader only. */
export function whyUntold(
  { view, settledIndex }: Pick<Around, 'view' | 'settledIndex'>,
  service: Service,
  state: ServiceState | undefined,
  slots: readonly SlotState[],
): Reason[] {
  if (settledIndex === undefined) return [];
  const tasks = slots.flatMap(({ head }) => head?.task ?? []);
  const name = serviceName(service);
  return behind(view, state, tasks, settledIndex).map((node) =>
    why(
      'port-untold',
      `node ${node} has not told yet whether the published ports of ${name} are open there`,
      {
        object: service.id,
        advice: 'It does so as soon as it answers: see how it is.',
        command: `swarm why ${node}`,
      },
    ),
  );
}
