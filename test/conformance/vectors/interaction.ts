/** Interaction scripts: every command of their language. */
import type { ConfChangeSingle } from '../../../manager/raft/core/index.ts';
import {
  ConfChangeTransition,
  ConfChangeType,
  describeEntry,
  describeMessage,
  describeProgress,
  MessageType,
  message,
  NO_BYTES,
  NO_LIMIT,
  stateName,
} from '../../../manager/raft/core/index.ts';
import type { NodeOptions } from './cluster.ts';
import { Cluster, defaultOptions, ELECTION_TICKS, HEARTBEAT_TICKS } from './cluster.ts';
import type { Argument, Directive } from './datadriven.ts';
import { boolean, integer, parseLine } from './datadriven.ts';
import type { Recipient } from './drive.ts';
import {
  deliver,
  forEachNode,
  processAppendThread,
  processApplyThread,
  processReady,
  stabilize,
} from './drive.ts';
import { quote } from './output.ts';

/** Prints into the cluster's output; throws what the script shows as an error. */
type Handler = (c: Cluster, args: readonly Argument[], input: string) => void;

/** A fresh cluster for a script; each call runs one command and gives its output. */
export function interactionRunner(): (d: Directive) => string {
  const cluster = new Cluster();
  return (d) => {
    const error = runAll(cluster, d);
    const { isQuiet } = cluster.output;
    const text = cluster.output.take();
    if (isQuiet && error !== '') return error;
    return text + error === '' ? 'ok' : text + error;
  };
}

/** The error that ended it, if any. */
function runAll(c: Cluster, d: Directive): string {
  const error = run(c, d.command, d.args, d.input);
  // Further input lines of a command without input of its own are commands as well.
  if (error !== '' || d.command === 'propose-conf-change' || d.input === '') return error;
  for (const line of d.input.split('\n')) {
    const { command, args } = parseLine(line);
    const next = run(c, command, args, '');
    if (next !== '' && c.output.isQuiet) return next;
    c.output.print(next);
  }
  return '';
}

function run(c: Cluster, command: string, args: readonly Argument[], input: string): string {
  const handler = HANDLERS[command];
  if (handler === undefined) return 'unknown command';
  try {
    handler(c, args, input);
    return '';
  } catch (e) {
    return e instanceof Error ? e.message : String(e);
  }
}

function first(args: readonly Argument[]): number {
  return integer(args[0]?.key ?? '');
}

/** All bare words, as ids. */
function ids(args: readonly Argument[]): number[] {
  return args.filter((a) => a.values.length === 0).map((a) => integer(a.key));
}

function option(args: readonly Argument[], key: string): string | undefined {
  return args.find((a) => a.key === key)?.values[0];
}

const HANDLERS: Readonly<Record<string, Handler>> = {
  _breakpoint: () => {},
  'add-nodes': addNodes,
  campaign: (c, args) => c.node(first(args)).raw.campaign(),
  compact,
  'deliver-msgs': deliverMessages,
  'process-ready': (c, args) =>
    forEachNode(c, ids(args), 'handling Ready', (n) => processReady(c, n)),
  'process-append-thread': (c, args) =>
    forEachNode(c, ids(args), 'processing append thread', (n) => processAppendThread(c, n)),
  'process-apply-thread': (c, args) =>
    forEachNode(c, ids(args), 'processing apply thread', (n) => processApplyThread(c, n)),
  'log-level': (c, args) => c.output.setLevel(args[0]?.key ?? ''),
  'raft-log': (c, args) => printLog(c, first(args)),
  'raft-state': printStates,
  'set-randomized-election-timeout': (c, args) =>
    c.node(first(args)).raw.setRandomizedElectionTimeout(integer(option(args, 'timeout') ?? '')),
  stabilize: stabilizeNodes,
  status: printStatus,
  'tick-election': (c, args) => tick(c, first(args), ELECTION_TICKS),
  'tick-heartbeat': (c, args) => tick(c, first(args), HEARTBEAT_TICKS),
  'transfer-leadership': (c, args) => {
    const from = integer(option(args, 'from') ?? '');
    c.node(from).raw.transferLeader(integer(option(args, 'to') ?? ''));
  },
  'forget-leader': (c, args) => c.node(first(args)).raw.forgetLeader(),
  'send-snapshot': sendSnapshot,
  propose,
  'propose-conf-change': proposeConfChange,
  'report-unreachable': (c, args) =>
    c.node(first(args)).raw.reportUnreachable(integer(args[1]?.key ?? '')),
};

const SETTERS: Readonly<Record<string, (o: NodeOptions, value: string) => void>> = {
  voters: (o, v) => o.voters.push(integer(v)),
  learners: (o, v) => o.learners.push(integer(v)),
  inflight: (o, v) => {
    o.inflight = integer(v);
  },
  index: (o, v) => {
    o.index = integer(v);
  },
  content: (o, v) => {
    o.content = new TextEncoder().encode(v);
  },
  'async-storage-writes': (o, v) => {
    o.asyncStorageWrites = boolean(v);
  },
  prevote: (o, v) => {
    o.preVote = boolean(v);
  },
  checkquorum: (o, v) => {
    o.checkQuorum = boolean(v);
  },
  'max-committed-size-per-ready': (o, v) => {
    o.maxCommittedSizePerReady = integer(v);
  },
  'disable-conf-change-validation': (o, v) => {
    o.disableConfChangeValidation = boolean(v);
  },
  'read-only': (o, v) => {
    if (v !== 'safe' && v !== 'lease-based') throw new Error(`invalid read-only option "${v}"`);
    o.readOnly = v === 'safe' ? 'safe' : 'lease';
  },
  'step-down-on-removal': (o, v) => {
    o.stepDownOnRemoval = boolean(v);
  },
};

function addNodes(c: Cluster, args: readonly Argument[]): void {
  const options = defaultOptions();
  for (const { key, values } of args.slice(1)) {
    for (const value of values) SETTERS[key]?.(options, value);
  }
  const isEmpty =
    options.index === 0 &&
    options.voters.length + options.learners.length + options.content.length === 0;
  if (!isEmpty && options.index <= 1) {
    throw new Error('index must be specified as > 1 due to bootstrap');
  }
  for (let i = first(args); i > 0; i--) c.add(options);
}

function compact(c: Cluster, args: readonly Argument[]): void {
  c.node(first(args)).storage.compact(integer(args[1]?.key ?? ''));
  printLog(c, first(args));
}

function deliverMessages(c: Cluster, args: readonly Argument[]): void {
  const recipients: Recipient[] = ids(args).map((id) => ({ id, drop: false }));
  let type: MessageType | null = null;
  for (const { key, values } of args) {
    for (const value of values) {
      if (key === 'drop') recipients.push({ id: integer(value), drop: true });
      if (key === 'type') type = messageType(value);
    }
  }
  if (deliver(c, recipients, type) === 0) c.output.print('no messages\n');
}

function messageType(name: string): MessageType {
  const found = Object.entries(MessageType).find(([key]) => `Msg${key}` === name);
  if (found === undefined) throw new Error(`unknown message type ${name}`);
  return found[1];
}

function stabilizeNodes(c: Cluster, args: readonly Argument[]): void {
  const before = c.output.level;
  const level = option(args, 'log-level');
  if (level !== undefined) c.output.setLevel(level);
  try {
    stabilize(c, ids(args));
  } finally {
    if (level !== undefined) c.output.restoreLevel(before);
  }
}

function printLog(c: Cluster, id: number): void {
  const { storage } = c.node(id);
  const firstIndex = storage.firstIndex();
  const lastIndex = storage.lastIndex();
  if (lastIndex < firstIndex) {
    c.output.print(`log is empty: first index=${firstIndex}, last index=${lastIndex}`);
    return;
  }
  const entries = storage.entries(firstIndex, lastIndex + 1, NO_LIMIT);
  if (typeof entries === 'string') throw new Error(entries);
  for (const e of entries) c.output.print(`${describeEntry(e, quote)}\n`);
}

function printStates(c: Cluster): void {
  for (const { raw } of c.nodes) {
    const { voters, votersOutgoing } = raw.confState();
    const isVoter = voters.includes(raw.id) || votersOutgoing.includes(raw.id);
    const role = isVoter ? '(Voter)' : '(Non-Voter)';
    c.output.print(
      `${raw.id}: ${stateName(raw.state)} ${role} Term:${raw.term} Lead:${raw.lead}\n`,
    );
  }
}

function printStatus(c: Cluster, args: readonly Argument[]): void {
  for (const p of c.node(first(args)).raw.status().progress) {
    c.output.print(`${p.id}: ${describeProgress(p)}\n`);
  }
}

function tick(c: Cluster, id: number, count: number): void {
  for (let i = 0; i < count; i++) c.node(id).raw.tick();
}

function sendSnapshot(c: Cluster, args: readonly Argument[]): void {
  const from = first(args);
  const to = integer(args[1]?.key ?? '');
  const { raw, storage } = c.node(from);
  const snapshot = storage.snapshot();
  if (snapshot === 'pending') throw new Error('snapshot is temporarily unavailable');
  const m = message({ type: MessageType.Snap, from, to, term: raw.term, snapshot });
  c.messages.push(m);
  c.output.print(describeMessage(m, quote));
}

function propose(c: Cluster, args: readonly Argument[]): void {
  if (args.length !== 2 || args[1]!.values.length > 0) {
    throw new Error('expected exactly one key with no vals');
  }
  const data = new TextEncoder().encode(args[1]!.key);
  if (c.node(first(args)).raw.proposeForward(data) !== 'ok') {
    throw new Error('raft proposal dropped');
  }
}

const TRANSITIONS: Readonly<Record<string, ConfChangeTransition>> = {
  auto: ConfChangeTransition.Auto,
  implicit: ConfChangeTransition.JointImplicit,
  explicit: ConfChangeTransition.JointExplicit,
};

const CHANGE_OPTIONS: ReadonlySet<string> = new Set(['v1', 'transition']);

function proposeConfChange(c: Cluster, args: readonly Argument[], input: string): void {
  const unknown = args.slice(1).find((a) => a.values.length > 0 && !CHANGE_OPTIONS.has(a.key));
  if (unknown !== undefined) throw new Error(`unknown command ${unknown.key}`);
  const isV1 = boolean(option(args, 'v1') ?? 'false');
  const name = option(args, 'transition') ?? 'auto';
  const transition = TRANSITIONS[name];
  if (transition === undefined) throw new Error(`unknown transition ${name}`);
  const changes = parseChanges(input);
  const { raw } = c.node(first(args));
  let result: string;
  if (isV1) {
    if (changes.length !== 1 || transition !== ConfChangeTransition.Auto) {
      throw new Error('v1 conf change can only have one operation and no transition');
    }
    result = raw.proposeConfChangeForward({ ...changes[0]!, context: NO_BYTES });
  } else {
    result = raw.proposeConfChangeForward({ transition, changes, context: NO_BYTES });
  }
  if (result !== 'ok') throw new Error('raft proposal dropped');
}

const CHANGE_TYPES: Readonly<Record<string, ConfChangeType>> = {
  v: ConfChangeType.AddNode,
  l: ConfChangeType.AddLearner,
  r: ConfChangeType.RemoveNode,
  u: ConfChangeType.UpdateNode,
};

/** `v1 l2 r3 u4`, or nothing. */
export function parseChanges(text: string): ConfChangeSingle[] {
  const words = text.split(/\s+/).filter((w) => w !== '');
  return words.map((word) => {
    if (word.length < 2) throw new Error(`unknown token ${word}`);
    const type = CHANGE_TYPES[word[0]!];
    if (type === undefined) throw new Error(`unknown input: ${word}`);
    return { type, nodeId: id(word.slice(1)) };
  });
}

function id(text: string): number {
  if (/^\d+$/.test(text)) return Number(text);
  throw new Error(`strconv.ParseUint: parsing "${text}": invalid syntax`);
}
