import {
  type AgentMessage,
  type CertificateNews,
  ManagerMessage,
  type Position,
  type Role,
} from '../../proto/index.ts';
import type { SwarmError } from '../../shared/errors.ts';
import { LIMITS } from '../../shared/limits.ts';
import type { Duplex } from '../../shared/rpc/rpc.ts';
import type { View } from '../store/view.ts';
import { encodeAssignments, encodeServices } from './assignment-message.ts';
import type { AssignmentChanges, AssignmentRows } from './assignment-rows.ts';
import { type Item, ItemSet, joinDigests } from './item-set.ts';
import type { NetworkChanges } from './network-rows.ts';

export type AgentStream = Duplex<AgentMessage, ManagerMessage>;

/** One agent's session: what it has been sent and what it has acknowledged. */
export class Session {
  readonly nodeId: string;
  /** Rises with every session of this leader: an older one of the same node is replaced. */
  readonly number: number;
  /** The role that the agent's certificate has, or will have by what it was told last. */
  certificateRole: Role;
  readonly #stream: AgentStream;
  readonly #tasks = new ItemSet();
  /** Networks whose rows the agent gets. */
  #networks: ReadonlySet<string> = new Set();
  /** What the agent has, as it names it; undefined: it gets everything. */
  #position: Position | undefined;
  #acknowledged = 0;
  /** Index of the last message that changed its load balancing. */
  #balanced = 0;
  #considered = 0;
  #awaitedReport = 0;
  /** Below every number: what the hello tells has to be committed first. */
  #committedReport = -1;

  constructor(nodeId: string, number: number, certificateRole: Role, stream: AgentStream) {
    this.nodeId = nodeId;
    this.number = number;
    this.certificateRole = certificateRole;
    this.#stream = stream;
  }

  /** Everything up to this index is in the agent's load balancing. */
  get acknowledgedIndex(): number {
    if (this.#position === undefined) return 0;
    const hasAll = this.#acknowledged >= this.#balanced;
    return hasAll ? Math.max(this.#acknowledged, this.#considered) : this.#acknowledged;
  }

  /** The agent has exactly what it would be sent: true, and nothing will be. */
  resume(position: Position, digest: Uint8Array, rows: AssignmentRows, view: View): boolean {
    this.#fill(rows, view);
    if (digest.length === 0 || Buffer.compare(digest, this.#digest(rows)) !== 0) return false;
    this.#position = position;
    // It has the rows; whether they are in effect (its network may be starting) it says itself.
    this.#balanced = position.index;
    this.#considered = view.index;
    return true;
  }

  /** `report` has to be committed before it is known on which ports the node does not listen. */
  acknowledge(index: number, report: number): void {
    this.#acknowledged = Math.max(this.#acknowledged, index);
    this.#awaitedReport = Math.max(this.#awaitedReport, report);
  }
  reported(sequence: number): void {
    this.#committedReport = Math.max(this.#committedReport, sequence);
  }
  /** Everything up to this index is in effect there, and what is not is told in committed rows. */
  get settledIndex(): number {
    return this.#committedReport < this.#awaitedReport ? 0 : this.acknowledgedIndex;
  }

  /** Brings the agent from what it has to `to`. */
  update(rows: AssignmentRows, view: View, to: Position, changes: AssignmentChanges): void {
    this.#considered = to.index;
    // A slow agent is not sent more; what it missed comes as a whole when it has caught up.
    if (this.#stream.unsentBytes > LIMITS.sessionUnsentBytesMax) this.#position = undefined;
    if (this.#position === undefined) {
      this.sendAll(rows, view, to);
      return;
    }
    const changed: Item[] = [];
    const removedTasks: string[] = [];
    for (const id of changes.tasks.get(this.nodeId) ?? []) {
      const item = rows.task(view, this.nodeId, id);
      if (!this.#tasks.set(id, item)) continue;
      if (item === undefined) removedTasks.push(id);
      else changed.push(item);
    }
    const balancing = [changes.services, ...this.#networkChanges(rows, view, changes.networks)];
    const isBalancing = balancing.some((part) => part.length > 0);
    const rest = [...balancing, changes.networks.peers];
    if (changed.length === 0 && removedTasks.length === 0 && rest.every(isEmpty)) return;
    const parts = { complete: false, from: this.#position, to, tasks: changed, removedTasks };
    this.sendEncoded(encodeAssignments({ ...parts, rest, digest: this.#digest(rows) }));
    this.#position = to;
    if (isBalancing) this.#balanced = to.index;
  }

  /** Of networks that it stays on what changed, of others everything, or what to forget. */
  #networkChanges(rows: AssignmentRows, view: View, changes: NetworkChanges): Uint8Array[] {
    const { networks } = rows;
    const before = this.#networks;
    if (changes.nodes.has(this.nodeId)) this.#networks = networks.networksOf(view, this.nodeId);
    const parts: Uint8Array[] = [];
    for (const [id, bytes] of changes.networks) if (before.has(id)) parts.push(bytes);
    if (before === this.#networks) return parts;
    for (const id of this.#networks) if (!before.has(id)) parts.push(networks.whole(id));
    for (const id of before) if (!this.#networks.has(id)) parts.push(networks.goodbye(id));
    return parts;
  }

  /** Sends a whole set, unless too much is under way to it already. */
  sendAll(rows: AssignmentRows, view: View, to: Position): void {
    this.#position = undefined;
    this.#considered = to.index;
    if (this.#stream.unsentBytes > LIMITS.sessionUnsentBytesMax) return;
    this.#fill(rows, view);
    const rest = [encodeServices(rows.services.all(), []), rows.networks.allPeers()];
    for (const id of this.#networks) rest.push(rows.networks.whole(id));
    const parts = { complete: true, from: undefined, to, tasks: this.#tasks.all() };
    const digest = this.#digest(rows);
    this.sendEncoded(encodeAssignments({ ...parts, removedTasks: [], rest, digest }));
    this.#position = to;
    this.#balanced = to.index;
  }

  /** It missed something and waits for a whole set. */
  get isBehind(): boolean {
    return this.#position === undefined;
  }

  forgetSent(): void {
    this.#position = undefined;
  }

  sendCertificateNews(news: CertificateNews): void {
    this.certificateRole = news.role;
    this.send({ certificate: news });
  }

  send(message: Parameters<typeof ManagerMessage.create>[0]): void {
    this.#stream.send(ManagerMessage.create(message));
  }
  sendEncoded(bytes: Uint8Array): void {
    this.#stream.sendEncoded(bytes);
  }
  end(): void {
    this.#stream.end();
  }
  destroy(error: SwarmError): void {
    this.#stream.destroy(error);
  }

  #fill(rows: AssignmentRows, view: View): void {
    this.#tasks.clear();
    for (const item of rows.tasksOf(view, this.nodeId)) this.#tasks.set(item.id, item);
    this.#networks = rows.networks.networksOf(view, this.nodeId);
  }
  #digest(rows: AssignmentRows): Uint8Array {
    const own = joinDigests(this.#tasks.digest(), rows.services.digest());
    return joinDigests(own, rows.networks.digest(this.#networks));
  }
}

function isEmpty(part: Uint8Array): boolean {
  return part.length === 0;
}
