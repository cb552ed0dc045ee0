import {
  type Reason,
  type ServiceSpec,
  type Task,
  TaskState,
  type TaskStatus,
} from '../../../proto/index.ts';
import { unpackReason } from '../../loop/reason.ts';
import { type Entry, saidAtEnd } from '../../loop/task-facts.ts';
import type { View } from '../../store/view.ts';
import { taskName } from '../resolve.ts';
import { describeTask } from '../specs.ts';
import { type ReasonRest, type WhyCode, why } from './reason.ts';

interface Kind {
  readonly code: WhyCode;
  readonly words: RegExp;
  readonly advice: string;
  /** Flags of `service update` that change what was refused. */
  readonly flags: string;
}

/** What a container can't start for: its node may be told only when it tries. */
const STARTS: readonly Kind[] = [
  {
    code: 'missing-command',
    words: /^the image has no command |in the image is not executable$/,
    advice: 'Name a command that the image has: as --args, or as --entrypoint.',
    flags: '--args COMMAND',
  },
  {
    code: 'missing-workdir',
    words: /^the working directory .* in the image$/,
    advice: 'Name a directory of the image.',
    flags: '--workdir DIR',
  },
];

/** What a node refuses a task for, told by the runtime's own words. */
const REFUSALS: readonly Kind[] = [
  ...STARTS,
  {
    code: 'image-missing',
    words: /is not in the registry|no manager has/,
    advice: 'Push the image, or name another one.',
    flags: '--image IMAGE',
  },
  {
    code: 'image-login',
    words: /needs a login|login is refused|the login for/,
    advice: 'Log in to the registry (swarm registry login); tasks that come after have the login.',
    flags: '--force',
  },
  {
    code: 'wrong-platform',
    words: /the image is for .+, and this node is/,
    advice: 'Push the image for this platform too, or name another one.',
    flags: '--image IMAGE',
  },
  {
    code: 'image-broken',
    words:
      /gave (other|more) bytes|the image is broken|can't unpack layer|the image has \d+ layers/,
    advice: 'Build and push the image again; its registry or a proxy on the way may be at fault.',
    flags: '--image IMAGE',
  },
  {
    code: 'image-unreachable',
    words: /can't (reach|pull|get)|broke off|sent nothing/,
    advice: 'See whether the registry answers on that node, then try again.',
    flags: '--force',
  },
  {
    code: 'disk-full',
    words: /the disk is full/,
    advice: 'Make room on that node (swarm image prune), then try again.',
    flags: '--force',
  },
  {
    code: 'unknown-user',
    words: /the image has no (user|group)/,
    advice: 'Name a user of the image, or a number.',
    flags: '--user USER',
  },
  {
    code: 'missing-workdir',
    words: /WORKDIR_NOT_FOUND|working directory/i,
    advice: 'Make the directory on that node, or change --workdir.',
    flags: '--workdir DIR',
  },
  {
    code: 'missing-command',
    words: /COMMAND_NOT_FOUND|is in none of|does not exist on this node|not an executable|ENOENT/i,
    advice:
      'Put the command on that node, give its full path, or keep tasks away with --constraint.',
    flags: '--command COMMAND',
  },
  {
    code: 'unknown-user',
    words: /USER_UNKNOWN|\/etc\/(passwd|group)/i,
    advice: 'Make the user on that node, or change --user.',
    flags: '--user USER',
  },
  {
    code: 'not-allowed',
    words: /NOT_ALLOWED|--allow-process|without a user|can't start a process/i,
    advice: "Change the service, or let the node's operator allow it.",
    flags: '--constraint-add EXPRESSION',
  },
  {
    code: 'port-taken',
    words: /EADDRINUSE|no port of|port .* (taken|in use)/i,
    advice: 'End what has the port on that node, or choose another.',
    flags: '--publish-rm PORT --publish-add PORT',
  },
];

/** A task that its node refused before it began; undefined when it was not. */
export function whyRejected(
  view: View,
  spec: ServiceSpec | undefined,
  { task, status }: Entry,
): Reason | undefined {
  if (status?.state !== TaskState.REJECTED) return undefined;
  const node = view.table('node').get(task.nodeId)?.name ?? task.nodeId;
  const said = status.err || status.message || 'no reason was given';
  return refusal(`node ${node} refused ${taskName(view, task)}`, said, spec, task);
}

/** The same from what the next task of the slot remembers, when the refused one is history. */
export function whyRefusedBefore(
  view: View,
  spec: ServiceSpec | undefined,
  { task }: Entry,
): Reason | undefined {
  const pending = unpackReason(task.pendingReason);
  const said = /was refused: (.+?)(: its restart delay runs)?$/.exec(pending?.text ?? '')?.[1];
  if (said === undefined) return undefined;
  return refusal(`the last node refused ${taskName(view, task)}`, said, spec, task);
}

function refusal(who: string, said: string, spec: ServiceSpec | undefined, task: Task): Reason {
  const kind = REFUSALS.find(({ words }) => words.test(said));
  const command = describeTask(spec?.task);
  const missing = kind?.code === 'missing-command' && !STARTS.includes(kind) && command !== '';
  const what = missing ? `, it cannot run ${command}` : '';
  return why(kind?.code ?? 'task-rejected', `${who}${what}: ${said}`, {
    object: task.id,
    advice: kind?.advice ?? 'Change what it names, then update the service.',
    command: `swarm service update ${kind?.flags ?? '--force'} ${spec?.name ?? task.serviceId}`,
  });
}

/** A task that began and ended badly; undefined when it did not. */
export function whyFailed(
  view: View,
  spec: ServiceSpec | undefined,
  entry: Entry,
): Reason | undefined {
  const { status, task } = entry;
  if (status?.state !== TaskState.FAILED) return undefined;
  const node = view.table('node').get(task.nodeId)?.name ?? task.nodeId;
  if (STARTS.some(({ words }) => words.test(status.err)))
    return refusal(`${taskName(view, task)} can't start on node ${node}`, status.err, spec, task);
  return why(
    'task-failing',
    `${taskName(view, task)} ended on node ${node}: ${howItEnded(status)}`,
    logsOf(view, entry),
  );
}

function howItEnded(status: TaskStatus): string {
  if (status.oom) return 'it ran out of memory';
  if (status.lost) return status.err || 'it was lost with its supervisor';
  if (status.state === TaskState.REJECTED) return status.err || 'its node refused it';
  const said = saidAtEnd(status);
  if (status.signal === '' || said.startsWith('unhealthy'))
    return said === '' ? `exit code ${status.exitCode}` : said;
  const how = `killed by ${status.signal}`;
  return said === '' ? how : `${how}: ${said}`;
}

/** Nothing is started in the place of this task: the policy says no. */
export function whyHeld(view: View, entry: Entry): Reason {
  const { task, status } = entry;
  const completed =
    status?.state === TaskState.COMPLETE || /restart condition/.test(task.endReason);
  const usedUp = /used up/.test(task.endReason) || !completed;
  const said = task.endReason || (status === undefined ? 'it ended' : howItEnded(status));
  const service = view.table('service').get(task.serviceId)?.spec?.name ?? task.serviceId;
  const rest = { ...logsOf(view, entry), command: `swarm service update --force ${service}` };
  const advice = usedUp
    ? 'Look at its log, mend it, then start it again with --force.'
    : '--force starts it again.';
  return why(
    usedUp ? 'restarts-used-up' : 'completed',
    `${taskName(view, task)} is not restarted: ${said}`,
    {
      ...rest,
      advice,
    },
  );
}

function logsOf(_view: View, { task, status }: Entry): ReasonRest {
  return {
    object: task.id,
    advice: 'Its log says more.',
    command: `swarm task logs ${task.id}`,
    details: status?.lastOutput ?? [],
  };
}
