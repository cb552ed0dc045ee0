import {
  type Freshness,
  type Reason,
  type Service,
  ServiceMode,
  type Task,
  type WhyRequest,
  WhyResponse,
} from '../../proto/index.ts';
import { SwarmError } from '../../shared/errors.ts';
import type { CallContext } from '../../shared/rpc/rpc.ts';
import type { View } from '../store/view.ts';
import type { ControlDeps } from './deps.ts';
import { type FreshReads, findIn } from './freshness.ts';
import { resolveNetwork, resolveNode, resolveService, resolveTask, taskName } from './resolve.ts';
import { networkName, serviceName } from './specs.ts';
import { newestStatus, serviceView } from './views.ts';
import type { Around } from './why/around.ts';
import { whyNetwork } from './why/network.ts';
import { whyNode } from './why/node.ts';
import { whyService } from './why/service.ts';
import { whyTask } from './why/task.ts';

const KINDS = ['service', 'task', 'node', 'network'] as const;
type Kind = (typeof KINDS)[number];

interface Answer {
  readonly id: string;
  readonly name: string;
  readonly reasons: readonly Reason[];
  readonly state: string;
}

/**
 * `swarm why`: the true cause, first the one that hides the others. Committed rows are looked
 * at, the scheduler's filters are run again for the details, and the leader, which is asked first
 * (`LEADER_FIRST`), knows who lags behind.
 */
export class Why {
  readonly #deps: ControlDeps;
  readonly #reads: FreshReads;

  constructor(deps: ControlDeps, reads: FreshReads) {
    this.#deps = deps;
    this.#reads = reads;
  }

  async answer(request: WhyRequest, context: CallContext): Promise<WhyResponse> {
    const freshness = await this.#reads.before(context.consistency);
    const around = this.#around();
    const { kind, ref } = request;
    if (kind !== '' && !KINDS.includes(kind as Kind))
      throw new SwarmError('INVALID_ARGUMENT', `why knows ${KINDS.join(', ')}, not "${kind}"`);
    return findIn(freshness, () =>
      kind === ''
        ? this.#guess(around, ref, freshness)
        : answerOf(kind as Kind, this.#about(kind as Kind, around, ref), freshness),
    );
  }

  #around(): Around {
    const { store, explain, raft, dispatcher, selfNodeId } = this.#deps;
    const { view } = store;
    const statusOf = (task: Task) => newestStatus(view, task, dispatcher);
    const around = { view, nowMs: store.nowMs(), explain, statusOf };
    // Only the leader hears the nodes.
    if (raft.leader()?.nodeId !== selfNodeId) return around;
    return { ...around, settledIndex: (nodeId) => dispatcher.settledIndex(nodeId) };
  }

  /** A service before a task before a node before a network; an ambiguous name stops the search. */
  #guess(around: Around, ref: string, freshness: Freshness): WhyResponse {
    for (const kind of KINDS) {
      try {
        return answerOf(kind, this.#about(kind, around, ref), freshness);
      } catch (error) {
        if (!SwarmError.is(error) || error.code !== 'NOT_FOUND') throw error;
      }
    }
    throw new SwarmError('NOT_FOUND', `no service, task, node or network "${ref.slice(0, 100)}"`, {
      advice: 'List what is there: swarm service ls, swarm node ls.',
      command: 'swarm service ls',
    });
  }

  #about(kind: Kind, around: Around, ref: string): Answer {
    const { view } = around;
    if (kind === 'service') {
      const service = resolveService(view, ref);
      const reasons = whyService(around, service);
      return {
        id: service.id,
        name: serviceName(service),
        reasons,
        state: serviceText(view, service),
      };
    }
    if (kind === 'task') {
      const task = resolveTask(view, ref);
      const name = taskName(view, task);
      return { id: task.id, name, reasons: whyTask(around, task), state: '' };
    }
    if (kind === 'network') {
      const network = resolveNetwork(view, ref);
      const name = networkName(network);
      return { id: network.id, name, reasons: whyNetwork(view, network), state: '' };
    }
    const node = resolveNode(view, ref, this.#deps.selfNodeId);
    return { id: node.id, name: node.name, reasons: whyNode(view, node, around.nowMs), state: '' };
  }
}

function serviceText(view: View, service: Service): string {
  const { desired, running } = serviceView(view, service);
  const how = service.spec?.mode === ServiceMode.REPLICATED ? '' : ' (global)';
  return `${running} of ${desired} tasks run${how}`;
}

function answerOf(kind: Kind, answer: Answer, freshness: Freshness): WhyResponse {
  const { id, name, reasons } = answer;
  const base = WhyResponse.create({ kind, id, name, summary: summaryOf(answer) });
  return WhyResponse.with(base, { reasons, freshness });
}

/** One sentence: how far it is and, where something is the matter, the first cause. */
function summaryOf({ name, state, reasons }: Answer): string {
  const [first] = reasons;
  const text = first?.text ?? '';
  if (state === '') return text;
  if (first?.code === 'fine') return `${name}: ${state}, as was wished`;
  const cause = text.startsWith(`${name}: `) ? text.slice(name.length + 2) : text;
  return `${name}: ${state}; ${cause}`;
}
