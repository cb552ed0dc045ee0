import {
  Availability,
  Liveness,
  type Node,
  type NodeStatus,
  type Reason,
} from '../../../proto/index.ts';
import { type ReasonRest, why } from './reason.ts';

/** Why a node takes no new tasks; undefined: it does. */
export function whyNodeIsClosed(node: Node, status: NodeStatus | undefined): Reason | undefined {
  const name = node.name;
  const at = (command: string, advice: string): ReasonRest => ({
    object: node.id,
    advice,
    command,
  });
  if (node.removing)
    return why('node-removing', `node ${name} is being removed`, at('swarm node ls', ''));
  if (node.availability === Availability.DRAIN)
    return why(
      'node-drained',
      `node ${name} is drained: it takes no tasks`,
      at(`swarm node update --availability active ${name}`, 'Make it active again.'),
    );
  const silent = whyNodeIsSilent(node, status);
  if (silent !== undefined) return silent;
  if (node.availability === Availability.PAUSE)
    return why(
      'node-paused',
      `node ${name} is paused: it keeps its tasks and takes no new ones`,
      at(`swarm node update --availability active ${name}`, 'Make it active again.'),
    );
  return undefined;
}

/** Why nothing is heard from a node, or is not for long; undefined: it is ready. */
export function whyNodeIsSilent(node: Node, status: NodeStatus | undefined): Reason | undefined {
  const name = node.name;
  const start = `On that machine: swarm start, or look at the daemon's log.`;
  const rest = { object: node.id, command: 'swarm info', advice: start };
  switch (status?.liveness ?? Liveness.UNKNOWN) {
    case Liveness.READY:
      return undefined;
    case Liveness.SUSPECT:
      return why('node-suspect', `node ${name} has been silent for some seconds`, {
        object: node.id,
        advice: 'Wait: it comes back, or its tasks are moved when its grace is over.',
        command: `swarm node inspect ${name}`,
      });
    case Liveness.RESTARTING:
      return why('node-restarting', `the daemon of node ${name} is restarting`, {
        object: node.id,
        advice: 'Wait: its tasks run on.',
        command: `swarm node inspect ${name}`,
      });
    case Liveness.LEAVING:
      return why('node-leaving', `the machine of node ${name} is shutting down`, {
        object: node.id,
      });
    case Liveness.UNKNOWN:
      return why('node-never-connected', `node ${name} has not connected yet`, rest);
    default: {
      const said = status?.message ? `: ${status.message}` : '';
      return why('node-down', `node ${name} is down${said}`, rest);
    }
  }
}
