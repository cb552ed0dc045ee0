import { type Reason, type Task, TaskState } from '../../../proto/index.ts';
import type { Entry } from '../../loop/task-facts.ts';
import type { View } from '../../store/view.ts';
import { taskName } from '../resolve.ts';
import { slotsOf } from '../slots.ts';
import { specOfTask } from '../specs.ts';
import type { Around } from './around.ts';
import { whyFailed, whyHeld, whyRejected } from './failures.ts';
import { whyTasksStay } from './node.ts';
import { why } from './reason.ts';
import { WITHOUT_LIMITS, whyUnplaced } from './service.ts';
import { whyWaiting } from './waiting.ts';

/** What is the matter with one task; at least one reason, `fine` when it serves. */
export function whyTask(around: Around, task: Task): Reason[] {
  const { view } = around;
  const entry: Entry = { task, status: view.table('taskStatus').get(task.id) };
  const spec = specOfTask(view, task);
  const reasons: (Reason | undefined)[] = [
    whyRejected(view, spec, entry),
    whyFailed(view, spec, entry),
  ];
  if (task.desiredState > TaskState.RUNNING || task.draining) reasons.push(ended(around, entry));
  else {
    const unplaced = task.state < TaskState.ASSIGNED && task.startAfterMs <= around.nowMs;
    reasons.push(unplaced ? whyUnplaced(around, entry) : whyWaiting(around, entry));
    reasons.push(...whyTasksStay(view, task.nodeId, around.nowMs));
  }
  if (entry.status?.state === TaskState.RUNNING && entry.status.warning !== '')
    reasons.push(lacking(view, entry.task, entry.status.warning));
  const found = reasons.filter((reason) => reason !== undefined);
  if (found.length > 0) return found;
  const node = view.table('node').get(task.nodeId)?.name ?? task.nodeId;
  return [
    why('fine', `${taskName(view, task)} runs on node ${node}`, {
      object: task.id,
      command: `swarm task logs ${task.id}`,
    }),
  ];
}

function lacking(view: View, task: Task, words: string): Reason {
  const node = view.table('node').get(task.nodeId)?.name ?? task.nodeId;
  return why('without-limits', `${taskName(view, task)} on node ${node} ${words}`, {
    object: task.id,
    advice: WITHOUT_LIMITS,
    command: `swarm node inspect ${node}`,
  });
}

/** The cluster does not want it any more: why, and what came after it. */
function ended({ view }: Around, entry: Entry): Reason {
  const { task } = entry;
  const service = view.table('service').get(task.serviceId);
  const slots = service === undefined ? [] : slotsOf(view, service);
  const slot = slots.find(({ entries }) => entries.some((other) => other.task.id === task.id));
  if (slot?.held?.task.id === task.id) return whyHeld(view, entry);
  const said = task.endReason === '' ? 'the cluster ended it' : task.endReason;
  const next = slot?.head?.task;
  const after = next === undefined || next.id === task.id ? '' : `; ${next.id} came after it`;
  const stopping = entry.status?.state === TaskState.RUNNING ? 'is being stopped' : 'is over';
  return why('superseded', `${taskName(view, task)} ${stopping}: ${said}${after}`, {
    object: task.id,
    command: next === undefined ? '' : `swarm why ${next.id}`,
    advice: next === undefined ? '' : 'Ask about the newer task.',
  });
}
