import type {
  NetworkAttachment,
  NetworkState,
  NodeState,
  ServiceState,
  Task,
  TaskStatus,
} from '../../../proto/index.ts';
import { LIMITS } from '../../../shared/limits.ts';
import {
  formatIpv4,
  formatIpv6,
  type Prefix,
  parseIpv4,
  parsePrefix,
} from '../../../shared/prefix.ts';
import { atOnce, inPieces } from '../../../shared/slices.ts';
import type { View } from '../../store/view.ts';
import { isOver } from '../task-facts.ts';
import { AddressRange } from './address-range.ts';
import { Bitmap } from './bitmap.ts';

/** A network as far as its numbers go. */
interface NetworkRecord {
  row: NetworkState;
  readonly ranges: AddressRange[];
  /** Addresses of the second family are made from those of the first. */
  prefix6: Prefix | undefined;
  /** The address that was given last, and its range: the search goes on behind it. */
  cursor: { range: number; address: number };
  /** Attachments that hold an address here. */
  holders: number;
}

/** What a new holder gets. */
export interface FreeAddress {
  readonly address: string;
  readonly address6: string;
}

/**
 * Derived from the rows: which addresses, subnets and indexes of networks and nodes are given. An
 * address is held by a task from the choice of its node until it has ended (or is nobody's), by a
 * service that it is the virtual address of, and by a lost node for tasks that it may still run.
 * Changed by applied entries alone; a turn changes it on trial and takes that back.
 */
export class AddressIndex {
  readonly #networks = new Map<string, NetworkRecord>();
  readonly #networkIndexes = new Bitmap(LIMITS.networkIndexMax + 1);
  readonly #nodes = new Map<string, number>();
  readonly #nodeIndexes = new Bitmap(LIMITS.networkIndexMax + 1);
  /** Owner -> what it holds. Owners of different kinds begin with different letters. */
  readonly #holdings = new Map<string, readonly NetworkAttachment[]>();
  /** Networks on which something became free since `takeFreed`. */
  #freed = new Set<string>();
  #undo: (() => void)[] | undefined;

  static of(view: View): AddressIndex {
    const index = new AddressIndex();
    atOnce(index.rebuild(view));
    return index;
  }

  /** In pieces. Until it has ended nothing else may be asked or told. */
  *rebuild(view: View): Generator<void, void> {
    for (const { row } of this.#networks.values()) this.networkChanged(row.id, undefined);
    for (const id of this.#nodes.keys()) this.nodeChanged(id, undefined);
    this.#holdings.clear();
    for (const row of view.table('networkState').all()) this.networkChanged(row.id, row);
    for (const row of view.table('serviceState').all()) this.serviceChanged(row.id, row);
    for (const row of view.table('nodeState').all()) this.nodeChanged(row.id, row);
    const statuses = view.table('taskStatus');
    const newest = new Map<string, Task>();
    yield* inPieces(view.table('task').all(), (task) => {
      if (task.attachments.length === 0) return;
      this.taskChanged(task.id, task, statuses.get(task.id));
      for (const { networkId } of task.attachments)
        if ((newest.get(networkId)?.createdMs ?? -1) <= task.createdMs) newest.set(networkId, task);
    });
    // A new leader goes on where the last one was: what was just freed rests a little.
    for (const [id, task] of newest) this.#moveCursor(id, task);
    this.#freed.clear();
  }

  // -- changes: `undefined` means that the row is gone

  networkChanged(id: string, row: NetworkState | undefined): void {
    const before = this.#networks.get(id);
    if (before === undefined && row === undefined) return;
    if (before !== undefined && row !== undefined && extendsSubnets(before.row, row)) {
      this.#grow(before, row);
      return;
    }
    if (before !== undefined) this.#drop(before);
    if (row !== undefined) this.#add(row);
  }

  taskChanged(id: string, task: Task | undefined, status: TaskStatus | undefined): void {
    const holds = task !== undefined && task.attachments.length > 0 && !isOver({ task, status });
    this.#hold(`t${id}`, holds ? task.attachments : NOTHING);
  }

  serviceChanged(id: string, row: ServiceState | undefined): void {
    this.#hold(`s${id}`, row?.virtualAddresses ?? NOTHING);
  }

  nodeChanged(id: string, row: NodeState | undefined): void {
    this.#hold(`n${id}`, row?.held ?? NOTHING);
    const before = this.#nodes.get(id) ?? 0;
    const index = row?.index ?? 0;
    if (before === index) return;
    if (before > 0) this.#nodeIndexes.delete(before);
    if (index > 0) this.#nodeIndexes.add(index);
    setOrDelete(this.#nodes, id, index);
    this.#undo?.push(() => {
      if (index > 0) this.#nodeIndexes.delete(index);
      if (before > 0) this.#nodeIndexes.add(before);
      setOrDelete(this.#nodes, id, before);
    });
  }

  // -- trial: a turn gives addresses; nothing of that stays

  begin(): void {
    this.#undo = [];
  }
  rollback(): void {
    const undo = this.#undo ?? [];
    this.#undo = undefined;
    for (let step = undo.pop(); step !== undefined; step = undo.pop()) step();
    this.#freed.clear();
  }

  // -- questions

  /** The next free address of a network; undefined: it is full, or unknown. Takes nothing. */
  free(networkId: string): FreeAddress | undefined {
    const record = this.#networks.get(networkId);
    if (record === undefined || record.row.removedMs > 0) return undefined;
    const { ranges, cursor, prefix6 } = record;
    // Once round, and the range of the cursor again for what lies before it.
    for (let step = 0; step <= ranges.length; step++) {
      const range = (cursor.range + step) % Math.max(1, ranges.length);
      const address = ranges[range]?.next(step === 0 ? cursor.address : -1);
      if (address === undefined) continue;
      record.cursor = { range, address };
      const address6 = prefix6 === undefined ? '' : formatIpv6(prefix6.base | BigInt(address));
      return { address: formatIpv4(address), address6 };
    }
    return undefined;
  }
  /** 0: none is free. */
  freeNetworkIndex(): number {
    return Math.max(0, this.#networkIndexes.firstClear(1, LIMITS.networkIndexMax + 1));
  }
  freeNodeIndex(): number {
    return Math.max(0, this.#nodeIndexes.firstClear(1, LIMITS.networkIndexMax + 1));
  }
  /** Subnets of all networks, those of removed ones that rest included. */
  *subnets(): Iterable<{ readonly networkId: string; readonly prefix: Prefix }> {
    for (const [networkId, record] of this.#networks) {
      for (const { prefix } of record.ranges) yield { networkId, prefix };
      if (record.prefix6 !== undefined) yield { networkId, prefix: record.prefix6 };
    }
  }
  isHeld(networkId: string): boolean {
    return (this.#networks.get(networkId)?.holders ?? 0) > 0;
  }
  /** Networks with a problem, and removed ones that rest: few. */
  *unsettled(): Iterable<string> {
    for (const { row } of this.#networks.values())
      if (row.problem !== '' || row.removedMs > 0) yield row.id;
  }
  /** Addresses given and to be given; gateways are in neither. */
  usage(networkId: string): { readonly used: number; readonly capacity: number } {
    let [used, capacity] = [0, 0];
    for (const range of this.#networks.get(networkId)?.ranges ?? []) {
      used += range.used;
      capacity += range.capacity;
    }
    return { used, capacity };
  }
  takeFreed(): ReadonlySet<string> {
    const freed = this.#freed;
    if (freed.size > 0) this.#freed = new Set();
    return freed;
  }
  /** Two indexes of the same rows describe themselves alike. */
  describe(): string[] {
    const lines = [...this.#nodes].map(([id, index]) => `node ${id} ${index}`);
    for (const { row, ranges, holders } of this.#networks.values())
      lines.push(
        `network ${row.id} ${row.index} ${row.removedMs} held ${holders}`,
        ...ranges.map((range) => `network ${row.id} ${range.describe()}`),
      );
    for (const [owner, held] of this.#holdings)
      lines.push(`${owner} ${held.map((one) => `${one.networkId} ${one.address}`).join(' ')}`);
    lines.push(`indexes ${[...this.#networkIndexes.all()]} ${[...this.#nodeIndexes.all()]}`);
    return lines.sort();
  }

  #add(row: NetworkState): void {
    const record: NetworkRecord = {
      row,
      ranges: row.subnets.filter(isIpv4).map((subnet) => new AddressRange(subnet)),
      prefix6: prefix6Of(row),
      cursor: { range: 0, address: -1 },
      holders: 0,
    };
    this.#networks.set(row.id, record);
    if (row.index > 0) this.#networkIndexes.add(row.index);
    for (const held of this.#holdings.values()) for (const one of held) this.#count(one, 1, row.id);
    this.#undo?.push(() => this.#drop(record));
  }
  #drop(record: NetworkRecord): void {
    const { row } = record;
    this.#networks.delete(row.id);
    if (row.index > 0) this.#networkIndexes.delete(row.index);
    this.#undo?.push(() => {
      this.#networks.set(row.id, record);
      if (row.index > 0) this.#networkIndexes.add(row.index);
    });
  }
  /** The subnets that were there stay as they are. */
  #grow(record: NetworkRecord, row: NetworkState): void {
    const { row: before, prefix6 } = record;
    const count = record.ranges.length;
    record.row = row;
    record.prefix6 = prefix6Of(row);
    const v4 = row.subnets.filter(isIpv4);
    for (const subnet of v4.slice(count)) record.ranges.push(new AddressRange(subnet));
    if (before.index > 0) this.#networkIndexes.delete(before.index);
    if (row.index > 0) this.#networkIndexes.add(row.index);
    this.#undo?.push(() => {
      record.row = before;
      record.prefix6 = prefix6;
      record.ranges.length = count;
      record.cursor = { range: Math.max(0, count - 1), address: -1 };
      if (row.index > 0) this.#networkIndexes.delete(row.index);
      if (before.index > 0) this.#networkIndexes.add(before.index);
    });
  }

  #hold(owner: string, after: readonly NetworkAttachment[]): void {
    const before = this.#holdings.get(owner) ?? NOTHING;
    if (before === after || (before.length === 0 && after.length === 0)) return;
    this.#replace(owner, before, after);
    this.#undo?.push(() => this.#replace(owner, after, before));
  }
  #replace(
    owner: string,
    before: readonly NetworkAttachment[],
    after: readonly NetworkAttachment[],
  ): void {
    for (const one of before) this.#count(one, -1);
    for (const one of after) this.#count(one, 1);
    if (after.length > 0) this.#holdings.set(owner, after);
    else this.#holdings.delete(owner);
  }
  /** `only`: what is held on other networks is counted already. */
  #count({ networkId, address }: NetworkAttachment, sign: 1 | -1, only = networkId): void {
    const record = networkId === only ? this.#networks.get(networkId) : undefined;
    const number = parseIpv4(address);
    if (record === undefined || number === undefined) return;
    record.holders += sign;
    const range = record.ranges.find((one) => one.has(number));
    if (sign === 1) range?.take(number);
    else {
      range?.release(number);
      this.#freed.add(networkId);
    }
  }
  #moveCursor(networkId: string, task: Task): void {
    const record = this.#networks.get(networkId);
    const own = task.attachments.find((one) => one.networkId === networkId);
    const address = parseIpv4(own?.address ?? '');
    if (record === undefined || address === undefined) return;
    const range = record.ranges.findIndex((one) => one.has(address));
    if (range >= 0) record.cursor = { range, address };
  }
}

const NOTHING: readonly NetworkAttachment[] = [];

function isIpv4({ cidr }: { readonly cidr: string }): boolean {
  return !cidr.includes(':');
}
function prefix6Of(row: NetworkState): Prefix | undefined {
  const subnet = row.subnets.find((one) => !isIpv4(one));
  return subnet === undefined ? undefined : parsePrefix(subnet.cidr);
}
/** `after` has the subnets of `before`, and maybe more. */
function extendsSubnets(before: NetworkState, after: NetworkState): boolean {
  const old = before.subnets.filter(isIpv4);
  const fresh = after.subnets.filter(isIpv4);
  return old.every(({ cidr, gateway, range }, at) => {
    const other = fresh[at];
    return other?.cidr === cidr && other.gateway === gateway && other.range === range;
  });
}
function setOrDelete(map: Map<string, number>, id: string, value: number): void {
  if (value > 0) map.set(id, value);
  else map.delete(id);
}
