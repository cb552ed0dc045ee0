import { join } from 'node:path';
import { openLevel, systemDisk } from '../manager/database/index.ts';
import type { Manager } from '../manager/manager.ts';
import {
  type BackupSummary,
  backUp,
  makeBackupKey,
  parseBackupKey,
  recover,
  restore,
  writeNewFile,
} from '../manager/recovery/index.ts';
import {
  BackupChunk,
  BackupSummary as BackupSummaryMessage,
  type Freshness,
  type RecoverRequest,
  RecoverResponse,
  type RestoreChunk,
  type RestoreRequest,
  RestoreResponse,
  Role,
} from '../proto/index.ts';
import { SwarmError } from '../shared/errors.ts';
import type { CallContext } from '../shared/rpc/rpc.ts';
import { type Identity, writeSecret } from '../shared/tls/identity.ts';
import { addressesOf } from './address.ts';
import type { DaemonDeps } from './deps.ts';
import { hostName } from './describe.ts';
import type { NodeSteps } from './node-steps.ts';
import { checkPortFree } from './port-check.ts';
import { readdressed } from './readdress.ts';

/** A backup of the cluster's state while it works, from any manager. */
export async function* backUpNode(
  manager: Manager,
  context: CallContext,
  { clock, random }: DaemonDeps,
): AsyncIterable<BackupChunk> {
  const { snapshot, freshness } = await manager.snapshot(context.consistency);
  const key = makeBackupKey(random);
  const pieces = backUp(snapshot, key.bytes, clock.wallMs(), random);
  try {
    yield BackupChunk.create({ key: key.text });
    for (;;) {
      const { done, value } = await pieces.next();
      if (done === true) return yield BackupChunk.create({ summary: summaryOf(value, freshness) });
      yield BackupChunk.create({ data: value });
    }
  } finally {
    await pieces.return(undefined as never);
    await snapshot.close();
  }
}

/** A cluster of one of a backup, on a node that is in none. */
export async function restoreNode(
  chunks: AsyncIterable<RestoreChunk>,
  steps: NodeSteps,
): Promise<RestoreResponse> {
  steps.refuseIfMember();
  const { request, file } = await splitRequest(chunks);
  const key = parseBackupKey(request.key);
  const addresses = addressesOf(request);
  await checkPortFree(addresses.listen);
  const { clock, random, ids, log } = steps.deps;
  const nodeName = request.nodeName || hostName();
  const target = { nodeId: ids.next(), nodeName, address: addresses.advertise };
  const deps = { clock, random, disk: systemDisk, openEngine: openLevel };
  let restored: Awaited<ReturnType<typeof restore>> | undefined;
  await steps.entering(async () => {
    restored = await restore(steps.paths.raft, file, key, target, deps);
    log.info({ index: restored.backup.index }, 'restored the state of a cluster from a backup');
    const config = steps.configFor(addresses, restored.nodeName, request.allowProcess);
    await steps.enter(restored.identity, config);
    await steps.untilLeader();
  });
  const { backup, formerManagers } = restored!;
  return RestoreResponse.create({
    nodeId: target.nodeId,
    clusterId: backup.clusterId,
    workerToken: steps.manager().ca.token(Role.WORKER),
    advertiseAddress: addresses.advertise,
    backup: summaryOf(backup, null),
    formerManagers,
    warnings: addresses.warnings,
  });
}

/** A cluster of one of this manager's own state, when the others are lost. */
export async function recoverNode(
  request: RecoverRequest,
  steps: NodeSteps,
): Promise<RecoverResponse> {
  const { identity, config, manager } = steps.present();
  await checkRecoverable(request, identity, manager, steps);
  const { next: moved } = readdressed(config, {
    advertiseAddress: request.advertiseAddress,
    listenAddress: request.listenAddress,
    publishAddress: '',
  });
  const next = { ...moved, managers: [moved.advertiseAddress] };
  const { clock, random, log } = steps.deps;
  const key = makeBackupKey(random);
  const stamp = new Date(clock.wallMs()).toISOString().replaceAll(/[:.]/g, '-');
  const backupFile = join(steps.stateDir, `before-recover-${stamp}.backup`);
  const keyFile = `${backupFile}.key`;
  await steps.end();
  let recovered: Awaited<ReturnType<typeof recover>>;
  try {
    await writeSecret(keyFile, `${key.text}\n`);
    const { withUncommitted } = request;
    recovered = await recover(
      steps.paths.raft,
      { address: next.advertiseAddress, withUncommitted, backupKey: key.bytes },
      {
        clock,
        random,
        log: log.child({ part: 'recover' }),
        disk: systemDisk,
        openEngine: openLevel,
        saveBackup: async (pieces) => void (await writeNewFile(backupFile, pieces)),
      },
    );
  } catch (error) {
    if (!(await systemDisk.exists(backupFile))) await systemDisk.remove(keyFile);
    await steps.begin(identity, config, false);
    throw error;
  }
  const { clusterId, epoch, droppedEntries, formerManagers } = recovered;
  log.warn({ epoch, droppedEntries, formerManagers }, 'this manager is a new cluster of one');
  await steps.begin(identity, next, true);
  return RecoverResponse.create({
    nodeId: identity.subject.nodeId,
    clusterId,
    epoch,
    droppedEntries,
    formerManagers,
    backupFile,
    keyFile,
    workerToken: steps.manager().ca.token(Role.WORKER),
    advertiseAddress: next.advertiseAddress,
  });
}

async function checkRecoverable(
  request: RecoverRequest,
  identity: Identity,
  manager: Manager | undefined,
  { paths }: NodeSteps,
): Promise<void> {
  const isManager = identity.subject.role === Role.MANAGER;
  if (!isManager || !(await systemDisk.exists(paths.raft))) {
    throw new SwarmError('NOT_A_MANAGER', 'this node has no state of a manager to recover from', {
      advice: 'Run this on a node that was a manager, or restore a backup.',
      command: 'swarm cluster restore FILE --key @FILE',
    });
  }
  if (request.force || manager === undefined || !(await manager.hasQuorum())) return;
  throw new SwarmError('PRECONDITION', 'the managers have a leader: nothing is lost', {
    advice:
      'Recovering would split the cluster in two. Lost managers are removed with swarm node rm; ' +
      'if you really mean it, give --force.',
    command: 'swarm cluster status',
  });
}

async function splitRequest(
  chunks: AsyncIterable<RestoreChunk>,
): Promise<{ readonly request: RestoreRequest; readonly file: AsyncIterable<Uint8Array> }> {
  const iterator = chunks[Symbol.asyncIterator]();
  const first = await iterator.next();
  const request = first.done === true ? null : first.value.request;
  if (request === null) throw new SwarmError('INVALID_ARGUMENT', 'a restore without a request');
  const file = async function* (): AsyncGenerator<Uint8Array> {
    for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) {
      yield next.value.data;
    }
  };
  return { request, file: file() };
}

function summaryOf(summary: BackupSummary, freshness: Freshness | null): BackupSummaryMessage {
  return BackupSummaryMessage.create({ ...summary, freshness });
}
