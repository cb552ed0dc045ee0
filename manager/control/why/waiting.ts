import { type Reason, TaskState } from '../../../proto/index.ts';
import { unpackReason } from '../../loop/reason.ts';
import type { Entry } from '../../loop/task-facts.ts';
import { taskName } from '../resolve.ts';
import { stateName } from '../specs.ts';
import { saidBy } from '../views.ts';
import type { Around } from './around.ts';
import { type WhyCode, why } from './reason.ts';

/** A task that is wanted and does not serve yet although it has a node, or waits on purpose. */
export function whyWaiting(around: Around, entry: Entry): Reason | undefined {
  const { view, nowMs } = around;
  const { task } = entry;
  const status = around.statusOf(task);
  const name = taskName(view, task);
  const pending = unpackReason(task.pendingReason);
  const state = Math.max(task.state, status?.state ?? 0) as TaskState;
  const rest = { object: task.id, command: `swarm task inspect ${task.id}` };
  if (task.startAfterMs > nowMs && task.desiredState === TaskState.READY) {
    const leftMs = task.startAfterMs - nowMs;
    const code: WhyCode = pending?.code === 'disconnected' ? 'disconnected' : 'restart-delay';
    return why(
      code,
      `${name} starts in ${(leftMs / 1_000).toFixed(1)} s: ${pending?.text ?? 'its delay runs'}`,
      {
        ...rest,
        advice: pending?.advice || 'Wait, or set --restart-delay.',
      },
    );
  }
  if (state < TaskState.ASSIGNED) return undefined;
  if (state < TaskState.RUNNING) return whyStarting(around, { task, status }, pending?.text ?? '');
  if (state !== TaskState.RUNNING) return undefined;
  if (status?.health === 'unhealthy')
    return why('unhealthy', `${name} fails its health check`, {
      ...rest,
      advice: 'It is restarted by its policy; the last outputs of the check are below.',
      details: status.lastOutput,
    });
  if (status?.ready === false)
    return why('not-ready', `${name} runs and is not ready: its readiness check does not hold`, {
      ...rest,
      advice: 'It gets no connections until the check holds.',
      details: status.lastOutput,
    });
  return undefined;
}

function whyStarting({ view }: Around, { task, status }: Entry, pending: string): Reason {
  const state = Math.max(task.state, status?.state ?? 0) as TaskState;
  const node = view.table('node').get(task.nodeId)?.name ?? task.nodeId;
  const health = HEALTH_WORDS[status?.health ?? ''] ?? '';
  const said = pending || saidBy(status);
  const tail = said === '' ? '' : `: ${said}`;
  return why(
    'starting',
    `${taskName(view, task)} is ${stateName(state).toLowerCase()} on node ${node}${health}${tail}`,
    {
      object: task.id,
      ...(state < TaskState.STARTING
        ? { advice: 'Wait, or look how far it is.', command: `swarm task inspect ${task.id}` }
        : { advice: 'Wait; its log says how far it is.', command: `swarm task logs ${task.id}` }),
      details: status?.lastOutput ?? [],
    },
  );
}

const HEALTH_WORDS: { readonly [health: string]: string } = {
  starting: ', its health check has not passed yet',
  unhealthy: ', its health check fails',
};
