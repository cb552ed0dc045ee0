/** The commands that make things happen: Ready, local threads, delivery, and all until quiet. */
import type { Message, MessageType, StepResult } from '../../../manager/raft/core/index.ts';
import {
  describeMessage,
  describeReady,
  EMPTY_HARD_STATE,
  LOCAL_APPEND,
  LOCAL_APPLY,
} from '../../../manager/raft/core/index.ts';
import type { Cluster, ScriptNode } from './cluster.ts';
import { quote } from './output.ts';

const STEP_ERRORS: Readonly<Record<StepResult, string>> = {
  ok: '',
  dropped: 'raft proposal dropped',
  'peer-not-found': 'raft: cannot step as peer not found',
  'local-message': 'raft: cannot step raft local message',
  malformed: 'raft: malformed message',
};

/** Runs a body for each node, with a heading for each when there are several. */
export function forEachNode(
  cluster: Cluster,
  ids: readonly number[],
  what: string,
  body: (node: ScriptNode) => void,
): void {
  for (const id of ids) {
    const node = cluster.node(id);
    if (ids.length === 1) body(node);
    else headed(cluster, node, what, () => body(node));
  }
}

function headed(cluster: Cluster, node: ScriptNode, what: string, body: () => void): void {
  cluster.output.print(`> ${node.id} ${what}\n`);
  cluster.output.indented(body);
}

export function processReady(cluster: Cluster, node: ScriptNode): void {
  const rd = node.raw.ready();
  cluster.output.print(describeReady(rd, quote));
  if (!node.isAsync) {
    node.append({
      ...(rd.hardState ?? EMPTY_HARD_STATE),
      entries: rd.entries,
      snapshot: rd.snapshot,
    });
    node.apply(rd.committedEntries);
  }
  for (const m of rd.messages) {
    if (m.to === LOCAL_APPEND) node.appendWork.push(m);
    else if (m.to === LOCAL_APPLY) node.applyWork.push(m);
    else cluster.messages.push(m);
  }
  if (!node.isAsync) node.raw.advance();
}

export function processAppendThread(cluster: Cluster, node: ScriptNode): void {
  processThread(cluster, node.appendWork, 'append', (m) => node.append(m));
}

export function processApplyThread(cluster: Cluster, node: ScriptNode): void {
  processThread(cluster, node.applyWork, 'apply', (m) => node.apply(m.entries));
}

function processThread(
  cluster: Cluster,
  queue: Message[],
  name: string,
  work: (m: Message) => void,
): void {
  const { output } = cluster;
  const m = queue.shift();
  if (m === undefined) {
    output.print(`no ${name} work to perform`);
    return;
  }
  output.print(`Processing:\n${describeMessage({ ...m, responses: [] }, quote)}\n`);
  work(m);
  output.print('Responses:\n');
  for (const answer of m.responses) output.print(`${describeMessage(answer, quote)}\n`);
  cluster.messages.push(...m.responses);
}

export interface Recipient {
  readonly id: number;
  readonly drop: boolean;
}

function isLocal(m: Message): boolean {
  return m.from === m.to || m.from < 0 || m.to < 0;
}

/** In the order in which they were sent; local ones cannot be lost. */
function takeMessages(cluster: Cluster, to: Recipient, type: MessageType | null): Message[] {
  const isFor = (m: Message) =>
    m.to === to.id && !(to.drop && isLocal(m)) && (type === null || m.type === type);
  const taken = cluster.messages.filter(isFor);
  if (taken.length > 0) cluster.messages = cluster.messages.filter((m) => !isFor(m));
  return taken;
}

/** The number of messages delivered or dropped. */
export function deliver(
  cluster: Cluster,
  recipients: readonly Recipient[],
  type: MessageType | null,
): number {
  let count = 0;
  for (const to of recipients) {
    const taken = takeMessages(cluster, to, type);
    count += taken.length;
    for (const m of taken) {
      cluster.output.print(`${to.drop ? 'dropped: ' : ''}${describeMessage(m, quote)}\n`);
      if (to.drop) continue;
      const error = STEP_ERRORS[cluster.node(m.to).raw.step(m)];
      if (error !== '') cluster.output.print(`${error}\n`);
    }
  }
  return count;
}

/** Readys, deliveries and threads in turn, until there is nothing left to do. */
export function stabilize(cluster: Cluster, ids: readonly number[]): void {
  const nodes = ids.length === 0 ? cluster.nodes : ids.map((id) => cluster.node(id));
  let isBusy = true;
  while (isBusy) {
    isBusy = false;
    const run = (has: (n: ScriptNode) => boolean, what: string, body: (n: ScriptNode) => void) => {
      for (const node of nodes) {
        if (!has(node)) continue;
        headed(cluster, node, what, () => body(node));
        isBusy = true;
      }
    };
    run(
      (n) => n.raw.hasReady(),
      'handling Ready',
      (n) => processReady(cluster, n),
    );
    run(
      (n) => cluster.messages.some((m) => m.to === n.id),
      'receiving messages',
      (n) => deliver(cluster, [{ id: n.id, drop: false }], null),
    );
    run(
      (n) => n.appendWork.length > 0,
      'processing append thread',
      (n) => {
        while (n.appendWork.length > 0) processAppendThread(cluster, n);
      },
    );
    run(
      (n) => n.applyWork.length > 0,
      'processing apply thread',
      (n) => {
        while (n.applyWork.length > 0) processApplyThread(cluster, n);
      },
    );
  }
}
