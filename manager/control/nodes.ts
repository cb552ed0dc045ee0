import {
  Availability,
  Empty,
  GetNodeResponse,
  ListNodesResponse,
  type ListRequest,
  Liveness,
  Node,
  type NodeView,
  type Ref,
  type RemoveNodeRequest,
  Role,
  type UpdateNodeRequest,
} from '../../proto/index.ts';
import { SwarmError } from '../../shared/errors.ts';
import { LIMITS } from '../../shared/limits.ts';
import type { CallContext } from '../../shared/rpc/rpc.ts';
import type { Draft, View } from '../store/view.ts';
import type { ControlDeps } from './deps.ts';
import { checkEnum, checkLabels, invalid } from './field.ts';
import { compileFilters, enumFilter, type FilterTable, hasLabel } from './filters.ts';
import { type FreshReads, findIn } from './freshness.ts';
import { refuseLossOfQuorum } from './quorum.ts';
import { resolveNode } from './resolve.ts';
import { nodeView } from './views.ts';
import { managerWarnings } from './warnings.ts';
import { write } from './writes.ts';

/** Nodes: labels, availability, the role that is wished for, removal. */
export class Nodes {
  readonly #deps: ControlDeps;
  readonly #reads: FreshReads;

  constructor(deps: ControlDeps, reads: FreshReads) {
    this.#deps = deps;
    this.#reads = reads;
  }

  async list(request: ListRequest, context: CallContext): Promise<ListNodesResponse> {
    const passes = compileFilters(request.filters, FILTERS);
    const freshness = await this.#reads.before(context.consistency);
    const { view } = this.#deps.store;
    const nodes = [...view.table('node').all()]
      .sort((a, b) => (a.name < b.name ? -1 : 1))
      .map((node) => this.#view(view, node))
      .filter(passes);
    const warnings = managerWarnings(view, this.#deps.raft.status());
    return ListNodesResponse.with(ListNodesResponse.create({ warnings }), { nodes, freshness });
  }

  async get(request: Ref, context: CallContext): Promise<GetNodeResponse> {
    const freshness = await this.#reads.before(context.consistency);
    const { view } = this.#deps.store;
    const row = findIn(freshness, () => this.#resolve(view, request.ref));
    const node = this.#view(view, row);
    return GetNodeResponse.with(GetNodeResponse.create(), { node, freshness });
  }

  async update(request: UpdateNodeRequest, context: CallContext): Promise<NodeView> {
    const { id } = await write(this.#deps, context, (draft) => {
      const node = this.#resolve(draft, request.ref);
      if (request.version !== 0 && request.version !== node.version)
        throw new SwarmError('VERSION_CONFLICT', `${node.name} was changed since you read it`, {
          command: `swarm node inspect ${node.name}`,
        });
      this.#change(draft, node, request);
      return { id: node.id };
    });
    const { view } = this.#deps.store;
    return this.#view(view, this.#resolve(view, id));
  }

  /**
   * Its rows go in this entry, but for its number, which rests for a day; its tasks are ended by the
   * loop, the agent is told at its hello.
   */
  async remove(request: RemoveNodeRequest, context: CallContext): Promise<Empty> {
    await write(this.#deps, context, (draft) => {
      const node = this.#resolve(draft, request.ref);
      refuseRemoval(draft, node, request.force);
      draft.delete('node', node.id);
      draft.delete('nodeStatus', node.id);
      draft.delete('nodeVolumes', node.id);
      draft.delete('certificate', node.id);
      draft.emit({ kind: 'node', action: 'remove', id: node.id, name: node.name, message: '' });
      return { id: node.id };
    });
    return Empty.create();
  }

  #change(draft: Draft, node: Node, request: UpdateNodeRequest): void {
    const labels = changedLabels(node, request);
    const availability = request.hasAvailability ? request.availability : node.availability;
    const role = request.hasRole ? request.role : node.role;
    checkEnum(availability, Availability, 'availability');
    checkEnum(role, Role, 'role');
    const runtime = request.hasRuntime ? request.runtime : node.runtime;
    if (request.hasRuntime) refuseRuntime(draft, node, runtime);
    if (role === Role.WORKER && node.role === Role.MANAGER)
      refuseLossOfQuorum(draft, node, (nodeId) => this.#isLive(nodeId));
    const changed = Node.with(node, { labels, availability, role, runtime });
    const said = describeChange(node, changed);
    if (said === '') return;
    draft.put('node', changed);
    draft.emit({ kind: 'node', action: 'update', id: node.id, name: node.name, message: said });
  }

  #isLive(nodeId: string): boolean {
    const { members } = this.#deps.raft.status();
    if (nodeId === this.#deps.selfNodeId) return true;
    return members.some((member) => member.nodeId === nodeId && member.active);
  }

  #resolve(view: View, ref: string): Node {
    return resolveNode(view, ref, this.#deps.selfNodeId);
  }

  #view(view: View, node: Node): NodeView {
    const { raft, selfNodeId } = this.#deps;
    const leaderId = raft.leader()?.nodeId ?? '';
    return nodeView(node, { view, raft: raft.status(), leaderId, selfNodeId });
  }
}

const MEMBERSHIPS = { ACCEPTED: 0, PENDING: 1 };

const FILTERS: FilterTable<NodeView> = {
  id: (row, value) => row.node!.id.startsWith(value),
  name: (row, value) => row.node!.name.startsWith(value),
  'node.label': (row, value) => hasLabel(row.node!.labels, value),
  label: (row, value) => hasLabel(row.status?.description?.engineLabels ?? {}, value),
  role: (row, value) => row.node!.role === enumFilter(value, Role, 'role'),
  availability: (row, value) =>
    row.node!.availability === enumFilter(value, Availability, 'availability'),
  // Whoever has a row was let in with a token; nobody waits for approval.
  membership: (_row, value) => enumFilter(value, MEMBERSHIPS, 'membership') === 0,
};

function changedLabels(node: Node, request: UpdateNodeRequest): { [key: string]: string } {
  checkLabels(request.labelAdd, 'labels', LIMITS.labelBytesMax);
  const labels = { ...node.labels };
  for (const key of request.labelRm) {
    if (!Object.hasOwn(labels, key))
      throw invalid(
        'labels',
        `${node.name} has no label ${key}`,
        Object.keys(labels).join(', ') || 'none',
      );
    delete labels[key];
  }
  Object.assign(labels, request.labelAdd);
  checkLabels(labels, 'labels', LIMITS.labelBytesMax);
  return labels;
}

/** Tasks of other runtimes leave it, as they do a node that is drained. */
function refuseRuntime(draft: Draft, node: Node, runtime: string): void {
  if (runtime === '') return;
  const words = Object.keys(MISSING).join(', ');
  const missing = MISSING[runtime];
  if (missing === undefined) throw invalid('runtime', `"${runtime}" is no runtime`, words);
  const description = draft.table('nodeStatus').get(node.id)?.description;
  if (!description)
    throw new SwarmError('PRECONDITION', `${node.name} has not told yet what it can run`, {
      advice: 'Try again when it has connected.',
      command: 'swarm node ls',
    });
  if (description.runtimes.includes(runtime)) return;
  const has = description.runtimes.join(', ') || 'none';
  throw new SwarmError('PRECONDITION', `${node.name} has no runtime ${runtime} (it has: ${has})`, {
    advice: missing,
    command: `swarm node inspect ${node.name}`,
  });
}

/** What to do about a runtime that a node has not. */
const MISSING: { readonly [runtime: string]: string } = {
  containerd: 'Install containerd there (deploy/install-deps), then stop and start its daemon.',
  process: 'Start its daemon with --allow-process.',
};

function describeChange(node: Node, changed: Node): string {
  const { labels, availability, role, runtime } = changed;
  const said: string[] = [];
  const keys = new Set([...Object.keys(labels), ...Object.keys(node.labels)]);
  const others = [...keys].filter((key) => labels[key] !== node.labels[key]);
  if (others.length > 0) said.push(`labels ${others.sort().join(', ')}`);
  if (availability !== node.availability)
    said.push(`availability ${wordOf(Availability, availability)}`);
  if (role !== node.role) said.push(role === Role.MANAGER ? 'promote' : 'demote');
  if (runtime !== node.runtime) said.push(`runtime ${runtime || 'any'}`);
  return said.join('; ');
}

function wordOf(words: { readonly [word: string]: number }, value: number): string {
  return (Object.entries(words).find(([, number]) => number === value)?.[0] ?? '').toLowerCase();
}

function refuseRemoval(draft: Draft, node: Node, force: boolean): void {
  if (node.role === Role.MANAGER || draft.table('member').has(node.id))
    throw new SwarmError('PRECONDITION', `${node.name} is a manager`, {
      advice:
        node.role === Role.MANAGER
          ? 'Demote it first.'
          : 'Its demotion goes on: try again when swarm node ls shows it as a worker.',
      command: node.role === Role.MANAGER ? `swarm node demote ${node.name}` : 'swarm node ls',
    });
  const status = draft.table('nodeStatus').get(node.id);
  const there = status?.liveness === Liveness.READY || status?.liveness === Liveness.SUSPECT;
  if (there && !force)
    throw new SwarmError('PRECONDITION', `${node.name} is up, as far as the managers know`, {
      advice:
        'Run swarm leave on it first. If it is gone, it is down within seconds; --force does not wait.',
      command: `swarm node rm --force ${node.name}`,
    });
}
