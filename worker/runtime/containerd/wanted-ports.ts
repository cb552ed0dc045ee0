import { type AssignedTask, PortConfig, Protocol } from '../../../proto/index.ts';
import { networkKind } from '../network-kind.ts';

/**
 * The ports of a container that need a task port: those of its service, and those that only this node's
 * health and readiness probes dial. On the host's network a container has its ports itself.
 */
export function wantedPorts(task: AssignedTask): readonly PortConfig[] {
  if (networkKind(task) !== 'own') return [];
  const { health, ready } = task.spec ?? {};
  const probed = [health?.http, health?.tcp, ready?.http, ready?.tcp].flatMap((text) => {
    // With a host of its own it is not the container that is looked at.
    const port = /^:(\d{1,5})(\/|$)/.exec(text?.replace(/^https?:\/\//, '') ?? '')?.[1];
    return port === undefined ? [] : [Number(port)];
  });
  const known = new Set(
    task.ports.filter(({ protocol }) => protocol === Protocol.TCP).map(({ target }) => target),
  );
  const extra = [...new Set(probed)].filter((target) => !known.has(target));
  return [...task.ports, ...extra.map((target) => PortConfig.create({ target }))];
}
