import { Assignments, type Init, type Position } from '../../proto/index.ts';
import type { Item } from './item-set.ts';

/**
 * Puts an assignments message together from rows that are already encoded. A protobuf message is a
 * run of fields, so encoded parts can be joined: what many nodes get alike is encoded once.
 */

export interface AssignmentParts {
  readonly complete: boolean;
  readonly from: Position | undefined;
  readonly to: Position;
  readonly tasks: Iterable<Item>;
  readonly removedTasks: readonly string[];
  /** Encoded by `encodeServices`, `encodePeers` and `encodeNetwork`. */
  readonly rest: readonly Uint8Array[];
  readonly digest: Uint8Array;
}

const LENGTH_DELIMITED = 2;
const TASKS_TAG = (4 << 3) | LENGTH_DELIMITED;
const SERVICES_TAG = (6 << 3) | LENGTH_DELIMITED;
const PEERS_TAG = (9 << 3) | LENGTH_DELIMITED;
const NETWORKS_TAG = (11 << 3) | LENGTH_DELIMITED;
const NETWORK_SERVICES_TAG = (13 << 3) | LENGTH_DELIMITED;
const ASSIGNMENTS_TAG = (2 << 3) | LENGTH_DELIMITED; // ManagerMessage.assignments

/** The `services` and `removed_services` fields. */
export function encodeServices(items: Iterable<Item>, removed: readonly string[]): Uint8Array {
  return encodePart(SERVICES_TAG, items, { removedServices: removed });
}

/** The `peers` and `removed_peers` fields. */
export function encodePeers(items: Iterable<Item>, removed: readonly string[]): Uint8Array {
  return encodePart(PEERS_TAG, items, { removedPeers: removed });
}

export interface NetworkPart {
  readonly row?: Item | undefined;
  /** Id of a network that is gone; empty: none. */
  readonly removed?: string;
  readonly services?: readonly Item[];
  readonly removedServices?: readonly string[];
}

/** The fields of networks and the services on them, for one network. */
export function encodeNetwork(part: NetworkPart): Uint8Array {
  const { row, removed = '', services = [], removedServices = [] } = part;
  return Buffer.concat([
    encodePart(NETWORKS_TAG, row === undefined ? [] : [row], {
      removedNetworks: removed === '' ? [] : [removed],
    }),
    encodePart(NETWORK_SERVICES_TAG, services, { removedNetworkServices: removedServices }),
  ]);
}

type Removed = Pick<
  Init<Assignments>,
  'removedServices' | 'removedPeers' | 'removedNetworks' | 'removedNetworkServices'
>;

function encodePart(tag: number, items: Iterable<Item>, removed: Removed): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const item of items) parts.push(...field(tag, item.bytes));
  parts.push(Assignments.encode(Assignments.create(removed)));
  return Buffer.concat(parts);
}

/** A whole ManagerMessage with assignments. */
export function encodeAssignments(parts: AssignmentParts): Uint8Array {
  const head = Assignments.encode(
    Assignments.create({
      complete: parts.complete,
      from: parts.from ?? null,
      to: parts.to,
      removedTasks: parts.removedTasks,
      digest: parts.digest,
    }),
  );
  const body: Uint8Array[] = [head];
  for (const item of parts.tasks) body.push(...field(TASKS_TAG, item.bytes));
  body.push(...parts.rest);
  return Buffer.concat(field(ASSIGNMENTS_TAG, Buffer.concat(body)));
}

function field(tag: number, bytes: Uint8Array): Uint8Array[] {
  return [Buffer.from([tag, ...varint(bytes.length)]), bytes];
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  for (let left = value; ; left >>>= 7) {
    if (left < 0x80) {
      bytes.push(left);
      return bytes;
    }
    bytes.push((left & 0x7f) | 0x80);
  }
}
