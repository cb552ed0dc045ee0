/**
 * Why something was not done. Every such decision leaves one: `swarm why`, the task's row and events
 * show the same value. `code` is stable for scripts, `text` names the object, `advice` says what to
 * do and `command` how.
 */
export interface Reason {
  readonly code: ReasonCode;
  readonly text: string;
  readonly advice: string;
  readonly command: string;
}

const ADVICE = {
  'no-suitable-node': [
    'Change the placement or the reservations of the service, or add a node that fits.',
    'swarm node ls',
  ],
  'no-node': ['Add a node, or make one active again.', 'swarm node ls'],
  'no-runtime': [
    'Run a command of the host instead (--process), or add a node with a container runtime.',
    'swarm node ls',
  ],
  'port-taken': [
    'Choose another published port, or end the service that has it.',
    'swarm service ls',
  ],
  'restart-delay': ['Wait, or set --restart-delay.', ''],
  'refused-everywhere': [
    'Change what the nodes say is wrong, then update the service.',
    'swarm service ps --no-trunc',
  ],
  'waits-for-stop': ['It starts when the task before it has stopped.', ''],
  'restarts-used-up': [
    'Look at its log, mend it, then start it again with --force.',
    'swarm service update --force',
  ],
  completed: ['Its restart condition does not start it again. --force does.', ''],
  brake: [
    'Bring the nodes back; else their tasks are moved a few nodes at a time.',
    'swarm node ls',
  ],
  quarantine: [
    'This is a bug: please report it. The service is looked at again when it is updated.',
    'swarm service update --force',
  ],
  'update-paused': ['Roll back, or update again with what mends it.', 'swarm service rollback'],
  disconnected: ['It is replaced when its node must have stopped it (--on-disconnect).', ''],
  'network-missing': [
    'Make the network again, or take it out of the service (--network-rm).',
    'swarm network ls',
  ],
  'network-problem': [
    'Remove networks that nobody needs, or make this one with a free subnet of its own (--subnet).',
    'swarm network ls',
  ],
  'addresses-used-up': ['Remove tasks, or use a network with a larger subnet.', 'swarm network ls'],
  unknown: ['', ''],
} as const satisfies { readonly [code: string]: readonly [advice: string, command: string] };

export type ReasonCode = keyof typeof ADVICE;

export function reason(code: ReasonCode, text: string): Reason {
  const [advice, command] = ADVICE[code];
  return { code, text, advice, command };
}

/** As `Task.pendingReason` keeps it. */
export function packReason(value: Reason): string {
  return `${value.code}|${value.text}`;
}

/** The reason that `packReason` made; an empty text gives undefined. */
export function unpackReason(packed: string): Reason | undefined {
  if (packed === '') return undefined;
  const bar = packed.indexOf('|');
  const code = packed.slice(0, Math.max(0, bar));
  const text = packed.slice(bar + 1);
  return reason(Object.hasOwn(ADVICE, code) ? (code as ReasonCode) : 'unknown', text);
}
