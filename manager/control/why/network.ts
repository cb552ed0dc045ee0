import type { Network, Reason } from '../../../proto/index.ts';
import { isReachable } from '../../dispatcher/network-messages.ts';
import { unpackReason } from '../../loop/reason.ts';
import type { View } from '../../store/view.ts';
import { networkWarnings } from '../network-views.ts';
import { taskName } from '../resolve.ts';
import { networkName } from '../specs.ts';
import { count, why } from './reason.ts';

/** What a network waits for, and what stands in the way of tasks on it. */
export function whyNetwork(view: View, network: Network): Reason[] {
  const name = networkName(network);
  const object = network.id;
  const command = `swarm network inspect --verbose ${name}`;
  if (network.removing) return [removing(view, network)];
  const problem = unpackReason(view.table('networkState').get(network.id)?.problem ?? '');
  if (problem !== undefined)
    return [
      why('network-problem', `network ${name}: ${problem.text}`, {
        object,
        advice: problem.advice,
        command: problem.command,
      }),
    ];
  const warnings = networkWarnings(view, network);
  if (warnings.length === 0) return [why('fine', `network ${name} is ready`, { object, command })];
  return warnings.map((text) =>
    why('network-problem', `network ${name}: ${text}`, {
      object,
      advice: 'Run swarm network doctor on the nodes to see what they lack.',
      command: 'swarm node ls',
    }),
  );
}

function removing(view: View, network: Network): Reason {
  const tasks = [...view.table('task').by('network', network.id)].filter((task) =>
    isReachable(view, task),
  );
  const left = count(tasks.length, 'task');
  return why('removing', `network ${networkName(network)} is being removed: ${left} to go`, {
    object: network.id,
    advice: 'Wait until they have stopped.',
    command: 'swarm network ls',
    details: tasks.map((task) => taskName(view, task)).sort(),
  });
}
