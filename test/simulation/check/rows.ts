import { revisionKey } from '../../../manager/store/schema.ts';
import type { AppliedEntry, View } from '../../../manager/store/view.ts';
import {
  Availability,
  type Cluster,
  type NetworkAttachment,
  type Task,
  TaskState,
  type TaskStatus,
} from '../../../proto/index.ts';
import { futureMark, lastToken, newerTokensOf, REGISTERS } from '../cluster/registers.ts';
import type { Checker } from './checker.ts';

/** What must hold in the rows of tasks and services after every entry. */
export function checkTasks(view: View, entry: AppliedEntry, checker: Checker): void {
  const touched = new Set<string>(entry.changes.map(({ table }) => table));
  if (touched.has('taskStatus')) checkStates(entry, checker);
  if (touched.has('serviceState')) checkPorts(view, checker);
  if (touched.has('serviceState') || touched.has('task')) checkAddresses(view, checker);
  if (touched.has('task')) checkResources(view, entry, checker);
  if (touched.has('task')) checkPlaces(view, entry, checker);
}

/** States only rise, and what has ended stays as it ended. */
function checkStates(entry: AppliedEntry, checker: Checker): void {
  for (const { table, before, after } of entry.changes) {
    if (table !== 'taskStatus' || !before || !after) continue;
    const [was, is] = [before as TaskStatus, after as TaskStatus];
    if (is.state < was.state)
      checker.fail(`task ${is.id} went back from state ${was.state} to ${is.state}`);
    if (is.state > was.state && was.state >= TaskState.COMPLETE)
      checker.fail(`task ${is.id} ended in state ${was.state} and then in ${is.state}`);
  }
}

/** A published port belongs to one service. */
function checkPorts(view: View, checker: Checker): void {
  const ports = new Map<string, string>();
  for (const state of view.table('serviceState').all()) {
    for (const { protocol, published } of state.ports) {
      const owner = ports.get(`${protocol}/${published}`);
      if (owner !== undefined)
        checker.fail(`port ${published} is given to ${owner} and ${state.id}`);
      ports.set(`${protocol}/${published}`, state.id);
    }
  }
}

/** An address of a network belongs to one service, or to one task that may still run. */
function checkAddresses(view: View, checker: Checker): void {
  const owners = new Map<string, string>();
  const take = (owner: string, attachments: readonly NetworkAttachment[]): void => {
    for (const { networkId, address } of attachments) {
      if (address === '') continue;
      const place = `${networkId}/${address}`;
      const other = owners.get(place);
      if (other !== undefined) checker.fail(`address ${address} is given to ${other} and ${owner}`);
      owners.set(place, owner);
    }
  };
  for (const { id, virtualAddresses } of view.table('serviceState').all())
    take(id, virtualAddresses);
  for (const task of view.table('task').all()) {
    const state = view.table('taskStatus').get(task.id)?.state ?? task.state;
    if (state >= TaskState.COMPLETE) continue;
    take(task.id, task.attachments);
  }
}

/** No node gives more than it has. */
function checkResources(view: View, entry: AppliedEntry, checker: Checker): void {
  const nodes = new Set<string>();
  for (const { table, after } of entry.changes) {
    const nodeId = table === 'task' ? (after as Task | undefined)?.nodeId : '';
    if (nodeId) nodes.add(nodeId);
  }
  for (const nodeId of nodes) {
    const has = view.table('nodeStatus').get(nodeId)?.description?.resources?.nanoCpus ?? 0;
    let taken = 0;
    for (const task of view.table('task').by('node', nodeId))
      if (isLive(view, task)) taken += reserved(view, task);
    if (has > 0 && taken > has) checker.fail(`${nodeId} gives ${taken} nanocpus of ${has}`);
  }
}

/** Nothing is sent to a node that was drained before. */
function checkPlaces(view: View, { index, changes }: AppliedEntry, checker: Checker): void {
  for (const { table, before, after } of changes) {
    if (table !== 'task' || !after) continue;
    const { id, nodeId } = after as Task;
    const node = view.table('node').get(nodeId);
    const isNews = (before as Task | undefined)?.nodeId !== nodeId;
    if (isNews && node?.availability === Availability.DRAIN && node.version < index)
      checker.fail(`task ${id} is sent to ${nodeId}, which is drained`);
  }
}

function isLive(view: View, task: Task): boolean {
  const state = view.table('taskStatus').get(task.id)?.state ?? task.state;
  return state < TaskState.COMPLETE && task.desiredState <= TaskState.RUNNING;
}

function reserved(view: View, task: Task): number {
  const key = revisionKey(task.serviceId, task.revision);
  const revision = view.table('serviceRevision').get(key);
  return revision?.spec?.task?.reservations?.nanoCpus ?? 0;
}

/** Who knows a field writes it; who does not hands it on, and makes none. */
export function checkRegisters(entry: AppliedEntry, checker: Checker): void {
  const newer = newerTokensOf(entry);
  for (const { table, id, before, after } of entry.changes) {
    if (table !== 'cluster' || !after || !REGISTERS.includes(id)) continue;
    const [was, is] = [before as Cluster | undefined, after as Cluster];
    const last = lastToken(is);
    const isAppended = was !== undefined && is.clusterId.startsWith(`${was.clusterId} `);
    const expected = newer.has(last) ? last : isAppended ? futureMark(was) : '';
    if (futureMark(is) !== expected)
      checker.fail(
        `register ${id} at ${entry.index} has "${futureMark(is)}" of a newer release, not "${expected}"`,
      );
  }
}
