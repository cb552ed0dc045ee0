import {
  Availability,
  Liveness,
  type Node,
  type Reason,
  Role,
  TaskState,
} from '../../../proto/index.ts';
import type { View } from '../../store/view.ts';
import { portText } from '../validate-ports.ts';
import { whyNodeIsClosed, whyNodeIsSilent } from './availability.ts';
import { count, why } from './reason.ts';

/** What is the matter with a node; at least one reason, `fine` when all is well. */
export function whyNode(view: View, node: Node, nowMs: number): Reason[] {
  const status = view.table('nodeStatus').get(node.id);
  const closed = whyNodeIsClosed(node, status);
  const reasons: Reason[] = [];
  if (closed !== undefined) reasons.push(withTasks(view, node, closed));
  if (node.availability === Availability.DRAIN) {
    const silent = whyNodeIsSilent(node, status);
    if (silent !== undefined) reasons.push(silent);
  }
  reasons.push(...braked(view, node, nowMs), ...roleChange(view, node), ...portsTaken(view, node));
  if (reasons.length > 0) return reasons;
  const running = runningOn(view, node.id);
  return [
    why('fine', `node ${node.name} is up and takes tasks; it runs ${running}`, {
      object: node.id,
      command: `swarm node ps ${node.name}`,
    }),
  ];
}

/** Why tasks that are wanted stay on a node from which nothing is heard; none when it is up. */
export function whyTasksStay(view: View, nodeId: string, nowMs: number): Reason[] {
  const node = view.table('node').get(nodeId);
  if (node === undefined) return [];
  const brake = braked(view, node, nowMs);
  if (brake.length > 0) return brake;
  const status = view.table('nodeStatus').get(nodeId);
  // A restart in order leaves its tasks running and in load balancing.
  if (status?.liveness === Liveness.RESTARTING) return [];
  const silent = whyNodeIsSilent(node, status);
  return silent === undefined ? [] : [silent];
}

function braked(view: View, node: Node, nowMs: number): Reason[] {
  const state = view.table('nodeState').get(node.id);
  if (state === undefined || state.brake === '' || state.brakeUntilMs <= nowMs) return [];
  const leftS = Math.ceil((state.brakeUntilMs - nowMs) / 1_000);
  return [
    why('brake', `the tasks of node ${node.name} are not moved for ${leftS} s: ${state.brake}`, {
      object: node.id,
      advice: 'Bring the nodes back; else their tasks are moved a few nodes at a time.',
      command: 'swarm node ls',
    }),
  ];
}

function withTasks(view: View, node: Node, reason: Reason): Reason {
  if (reason.code !== 'node-drained') return reason;
  let left = 0;
  for (const task of view.table('task').by('node', node.id))
    if (view.table('taskStatus').get(task.id)?.state === TaskState.RUNNING) left++;
  if (left === 0) return reason;
  const { advice, command, object } = reason;
  const text = `${reason.text}, and ${count(left, 'task')} on it ${left === 1 ? 'is' : 'are'} still to stop`;
  return why('node-drained', text, { advice, command, object });
}

function roleChange(view: View, node: Node): Reason[] {
  const member = view.table('member').get(node.id);
  const promoted = node.role === Role.MANAGER && member?.phase !== 'voter';
  const demoted = node.role === Role.WORKER && member !== undefined;
  if (!promoted && !demoted) return [];
  const step = member === undefined ? 'not begun' : member.phase;
  const said = member?.message ? `: ${member.message}` : '';
  return [
    why(
      'role-change',
      `node ${node.name} is being ${promoted ? 'promoted' : 'demoted'} (${step})${said}`,
      {
        object: node.id,
        advice: 'Wait; it goes on when the node and a majority of the managers answer.',
        command: 'swarm node ls',
      },
    ),
  ];
}

function portsTaken(view: View, node: Node): Reason[] {
  const failures = view.table('nodeStatus').get(node.id)?.listenFailures ?? [];
  return failures.map(({ protocol, port, reason }) =>
    why(
      'port-taken',
      `node ${node.name} cannot listen on ${portText({ protocol, published: port })}: ${reason}`,
      {
        object: node.id,
        advice:
          'End what has the port there, or publish another one. It is tried again all the time.',
        command: 'swarm service ls',
      },
    ),
  );
}

function runningOn(view: View, nodeId: string): string {
  let running = 0;
  for (const task of view.table('task').by('node', nodeId))
    if (view.table('taskStatus').get(task.id)?.state === TaskState.RUNNING) running++;
  return count(running, 'task');
}
