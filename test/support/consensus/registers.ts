import {
  ControlService,
  CreateServiceRequest,
  type Freshness,
  Ref,
  ServiceSpec,
  UpdateNodeRequest,
  UpdateServiceRequest,
} from '../../../proto/index.ts';
import { ERRORS, SwarmError } from '../../../shared/errors.ts';
import type { Client } from '../../../shared/rpc/rpc.ts';
import { NOTHING } from '../../conformance/linearizability/models.ts';

/** Longer than a read waits for a leader, shorter than a write does: both ends are met. */
const CALL_MS = 3_000;
const LABEL = 'register';

export interface Found {
  readonly value: string;
  /** Of the object: a compare-and-set names it. */
  readonly version: number;
  readonly isStale: boolean;
  /** Since when the state may have been another, if it is stale; 0: not known. */
  readonly asOfWallMs: number;
}

/** What a user may make of the answer to a write. */
export type Outcome =
  | 'done'
  /** The version was another one: certainly not done. */
  | 'conflict'
  /** The error says that nothing was done. */
  | 'refused'
  /** The error says that it may have been done, or no answer came. */
  | 'unknown';

/** A label of an object in the cluster, read and written through the control API. */
export interface Register {
  readonly key: string;
  /** Rejects when there is no answer. Marked stale by whoever finds no quorum. */
  read(client: Client, consistency?: 'linearizable' | 'stale'): Promise<Found>;
  /** `version` 0: whatever is there. Rejects as the API does. */
  write(client: Client, value: string, version: number, requestId: string): Promise<void>;
}

/** The label of a node: a small row, one path through the API. */
export function nodeRegister(node: string): Register {
  return {
    key: `node-${node}`,
    async read(client, consistency = 'linearizable') {
      const options = { timeoutMs: CALL_MS, consistency };
      const answer = await client.unary(ControlService.getNode, Ref.create({ ref: node }), options);
      const row = answer.node!.node!;
      return found(row.labels, row.version, answer.freshness);
    },
    async write(client, value, version, requestId) {
      const labelAdd = { [LABEL]: value };
      const request = UpdateNodeRequest.create({ ref: node, version, labelAdd });
      await client.unary(ControlService.updateNode, request, { timeoutMs: CALL_MS, requestId });
    },
  };
}

/** The label of a new service without tasks: each write is a revision, and work for the loop. */
export async function serviceRegister(client: Client, name: string): Promise<Register> {
  const process = { command: ['sleep', '1'], user: 'root' };
  const wished = ServiceSpec.create({ name, replicas: 0, task: { process } as never });
  const made = await client.unary(
    ControlService.createService,
    CreateServiceRequest.create({ spec: wished }),
    { requestId: `make-${name}` },
  );
  const spec = made.service!.spec!;
  const ref = made.service!.id;
  return {
    key: `service-${name}`,
    async read(client, consistency = 'linearizable') {
      const options = { timeoutMs: CALL_MS, consistency };
      const answer = await client.unary(ControlService.getService, Ref.create({ ref }), options);
      const service = answer.service!.service!;
      return found(service.spec!.labels, service.version, answer.freshness);
    },
    async write(client, value, version, requestId) {
      const labels = { [LABEL]: value };
      const wish = ServiceSpec.with(spec, { labels });
      const request = UpdateServiceRequest.create({ ref, version, spec: wish });
      await client.unary(ControlService.updateService, request, { timeoutMs: CALL_MS, requestId });
    },
  };
}

function found(
  labels: { readonly [name: string]: string },
  version: number,
  freshness: Freshness | null,
): Found {
  const isStale = freshness?.stale === true;
  return {
    value: labels[LABEL] ?? NOTHING,
    version,
    isStale,
    asOfWallMs: isStale ? freshness.asOfWallMs : 0,
  };
}

/** Throws what no fault of a network, a disk or a process explains. */
export function outcomeOf(error: unknown): Outcome {
  if (!SwarmError.is(error)) throw error;
  if (error.code === 'VERSION_CONFLICT') return 'conflict';
  const { retry } = ERRORS[error.code];
  if (retry === 'never') throw error;
  return retry === 'unknown' ? 'unknown' : 'refused';
}
