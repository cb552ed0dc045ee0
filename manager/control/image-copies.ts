import {
  CopyBlobsRequest,
  ImagesService,
  ManagerCopy,
  type RaftStatus,
} from '../../proto/index.ts';
import type { Clock } from '../../shared/clock.ts';
import { messageOf, SwarmError } from '../../shared/errors.ts';
import type { Client } from '../../shared/rpc/rpc.ts';
import { type BlobCopies, spoken } from '../images/blob-copies.ts';
import type { BlobSize, BlobStore } from '../images/blob-store.ts';
import { noQuorum } from './no-quorum.ts';

/** What adding an image needs of the managers' disks. */
export interface ImageDisks {
  /** Of this manager. */
  readonly blobs: BlobStore;
  readonly copies: BlobCopies;
  /** A connection of its own to another manager; who asks closes it. */
  dial(address: string): Client;
}

export interface CopyDeps {
  readonly disks: ImageDisks;
  readonly clock: Clock;
  readonly selfNodeId: string;
  readonly signal: AbortSignal;
}

/**
 * Brings blobs to all managers that can be reached and yields how far each is, whenever one has come
 * further. Ends when each has them or has failed; throws when a quorum does not have them then.
 */
export async function* copyToManagers(
  deps: CopyDeps,
  status: RaftStatus,
  blobs: readonly BlobSize[],
  holder: string,
): AsyncIterable<readonly ManagerCopy[]> {
  const totalBytes = blobs.reduce((sum, { size }) => sum + size, 0);
  const reachable = status.members.filter(
    ({ nodeId, active }) => active || nodeId === deps.selfNodeId,
  );
  const copies = reachable.map(({ nodeId, nodeName }) =>
    ManagerCopy.create({ nodeId, nodeName, totalBytes }),
  );
  let wake: () => void = () => undefined;
  let running = reachable.length;
  const change = (at: number, patch: Partial<ManagerCopy>): void => {
    copies[at] = ManagerCopy.with(copies[at]!, patch);
    wake();
  };
  for (const [at, { nodeId, address }] of reachable.entries()) {
    const tell = (doneBytes: number): void => change(at, { doneBytes });
    const copying =
      nodeId === deps.selfNodeId
        ? copyHere(deps, blobs, holder, tell)
        : copyThere(deps, address, blobs, holder, tell);
    void copying
      .then(
        () => change(at, { done: true, doneBytes: totalBytes }),
        (error) => change(at, { error: messageOf(error) }),
      )
      .finally(() => {
        running--;
        wake();
      });
  }
  while (running > 0) {
    await new Promise<void>((resolve) => {
      wake = resolve;
    });
    yield [...copies];
  }
  deps.signal.throwIfAborted();
  yield [...copies];
  refuseTooFew(status, copies);
}

function refuseTooFew(status: RaftStatus, copies: readonly ManagerCopy[]): void {
  const voters = status.members.filter(({ role }) => role !== 'learner');
  const have = voters.filter(({ nodeId }) => copies.some((c) => c.nodeId === nodeId && c.done));
  if (have.length >= Math.floor(voters.length / 2) + 1) return;
  const failed = copies.filter(({ error }) => error !== '');
  if (failed.length === 0) throw noQuorum(status);
  throw new SwarmError(
    'PRECONDITION',
    `the image is on ${have.length} of ${voters.length} managers, which is no quorum: ` +
      failed.map(({ nodeName, nodeId, error }) => `${nodeName || nodeId}: ${error}`).join('; '),
    { advice: 'Repair what is named, then do it again: what is there is not sent again.' },
  );
}

async function copyHere(
  { disks, signal }: CopyDeps,
  blobs: readonly BlobSize[],
  holder: string,
  tell: (doneBytes: number) => void,
): Promise<void> {
  let done = 0;
  await disks.copies.fetch(blobs, holder, signal, (count) => {
    done += count;
    tell(done);
  });
}

async function copyThere(
  { disks, clock, signal }: CopyDeps,
  address: string,
  blobs: readonly BlobSize[],
  holder: string,
  tell: (doneBytes: number) => void,
): Promise<void> {
  const client = disks.dial(address);
  try {
    const request = CopyBlobsRequest.create({ blobs, holder });
    const stream = client.serverStream(ImagesService.copyBlobs, request, { signal });
    for await (const { doneBytes } of spoken(clock, stream)) tell(doneBytes);
  } finally {
    client.close();
  }
}
