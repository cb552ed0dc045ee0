import { type PortConfig, PublishMode, type Service, type ServiceSpec } from '../../proto/index.ts';
import { SwarmError } from '../../shared/errors.ts';
import type { View } from '../store/view.ts';
import { serviceName } from './specs.ts';
import { portKey, portText } from './validate-ports.ts';

/**
 * Throws PORT_TAKEN, with the owner's name, when another service has asked for one of the published
 * ports or was given it. Two host-mode ports never collide here: the scheduler keeps them apart.
 */
export function refuseTakenPorts(view: View, spec: ServiceSpec, ownId: string): void {
  const wanted = (spec.endpoint?.ports ?? []).filter((port) => port.published > 0);
  if (wanted.length === 0) return;
  for (const port of wanted) {
    for (const state of view.table('serviceState').by('port', portKey(port))) {
      const owner = view.table('service').get(state.id);
      if (state.id !== ownId && owner !== undefined && collides(port, state.ports))
        throw taken(port, owner);
    }
  }
  for (const other of view.table('service').all()) {
    if (other.id === ownId) continue;
    const ports = other.spec?.endpoint?.ports ?? [];
    if (ports.length === 0) continue;
    for (const port of wanted) if (collides(port, ports)) throw taken(port, other);
  }
}

function collides(port: PortConfig, others: readonly PortConfig[]): boolean {
  return others.some(
    (other) =>
      portKey(other) === portKey(port) &&
      !(other.mode === PublishMode.HOST && port.mode === PublishMode.HOST),
  );
}

function taken(port: PortConfig, owner: Service): SwarmError {
  const name = serviceName(owner);
  const leaving = owner.removing ? ', which is being removed' : '';
  return new SwarmError(
    'PORT_TAKEN',
    `port ${portText(port)} is published by the service ${name}${leaving}`,
    {
      advice: owner.removing
        ? 'Try again when its tasks have ended, or choose another port.'
        : 'Choose another port, or take it from that service.',
      command: owner.removing
        ? `swarm service ps ${name}`
        : `swarm service update --publish-rm ${port.target} ${name}`,
      details: { owner: owner.id, port: portText(port) },
    },
  );
}
