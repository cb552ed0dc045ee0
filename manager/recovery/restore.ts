import {
  Availability,
  Liveness,
  Node,
  NodeStatus,
  Role,
  type StoredRow,
} from '../../proto/index.ts';
import type { Clock } from '../../shared/clock.ts';
import { SwarmError } from '../../shared/errors.ts';
import { newRaftId } from '../../shared/ids.ts';
import { DEFAULTS } from '../../shared/limits.ts';
import { newKey, publicKeyOf } from '../../shared/tls/csr.ts';
import { type Identity, makeIdentity } from '../../shared/tls/identity.ts';
import { uniqueNodeName } from '../ca/node-name.ts';
import { issueFor, rootOf } from '../ca/secrets.ts';
import { type BootstrapDeps, createRestoredMember } from '../raft/storage/bootstrap.ts';
import type { RowChange } from '../replication.ts';
import { Tables } from '../store/tables.ts';
import { type BackupSummary, checkRow, fromStored } from './backup.ts';
import { BackupReader } from './backup-records.ts';
import { CountedBytes } from './counted-bytes.ts';
import {
  formerManagers,
  type Leap,
  leap,
  newEpoch,
  type OldState,
  rowChange,
} from './new-epoch.ts';
import { IdentityRows } from './old-state.ts';

/** The machine that a backup is restored onto: a node of its own, whatever the backup names. */
export interface RestoreTarget {
  readonly nodeId: string;
  /** Its hostname; made unique among the nodes of the backup. */
  readonly nodeName: string;
  /** host:port of its control port. */
  readonly address: string;
}

export interface Restored {
  readonly identity: Identity;
  readonly nodeName: string;
  readonly backup: BackupSummary;
  readonly formerManagers: readonly string[];
}

export interface RestoreDeps extends BootstrapDeps {
  readonly clock: Clock;
  /** The private key of the restored manager, PKCS #8 PEM; a new one when absent. */
  readonly newKey?: () => Promise<string>;
}

/**
 * Makes the state of a cluster of one manager in `directory` (which must not exist) from the bytes of
 * a backup. Rejects as `FileOpener` does; then there is no state.
 */
export async function restore(
  directory: string,
  file: AsyncIterable<Uint8Array>,
  key: Uint8Array,
  target: RestoreTarget,
  deps: RestoreDeps,
): Promise<Restored> {
  const restoring = new Restoring(file, key, target, deps);
  const header = await restoring.readHeader();
  const raftId = restoring.raftId;
  const { nodeId, address } = target;
  const { clusterId } = header;
  const { epoch, term, index } = restoring.leap;
  const member = { clusterId, epoch, nodeId, raftId, address };
  await createRestoredMember(directory, member, restoring.rows(), { index, term }, deps);
  return restoring.result();
}

/** One pass over the file: most rows pass through, those that say who the cluster is are changed. */
class Restoring {
  readonly raftId: number;
  readonly #target: RestoreTarget;
  readonly #deps: RestoreDeps;
  readonly #reader: BackupReader;
  readonly #bytes: CountedBytes;
  readonly #identityRows = new IdentityRows();
  #early: StoredRow[] = [];
  #leap: Leap | undefined;
  #keyPem = '';
  #services = 0;
  #restored: Omit<Restored, 'backup'> | undefined;
  #nodes = 0;

  constructor(
    file: AsyncIterable<Uint8Array>,
    key: Uint8Array,
    target: RestoreTarget,
    deps: RestoreDeps,
  ) {
    this.#bytes = new CountedBytes(file);
    this.#reader = new BackupReader(key);
    this.#target = target;
    this.#deps = deps;
    this.raftId = newRaftId(deps.random);
  }

  get leap(): Leap {
    return this.#leap!;
  }

  /** To be called first. */
  async readHeader(): Promise<{ readonly clusterId: string }> {
    while (this.#reader.header === undefined) {
      const piece = await this.#bytes.next();
      if (piece === undefined) this.#reader.end();
      else this.#early.push(...this.#reader.push(piece));
    }
    const { header } = this.#reader;
    this.#keyPem = await (this.#deps.newKey ?? newKey)();
    this.#leap = leap(header, this.#deps.clock.wallMs());
    return header;
  }

  async *rows(): AsyncGenerator<readonly RowChange[], void> {
    yield this.#through(this.#early);
    this.#early = [];
    for (let piece = await this.#bytes.next(); piece; piece = await this.#bytes.next()) {
      yield this.#through(this.#reader.push(piece));
    }
    this.#reader.end();
    yield this.#changed();
  }

  result(): Restored {
    const { clusterId, epoch, index, wallMs } = this.#reader.header!;
    const { bytes, sha256 } = this.#bytes.end();
    const counts = { services: this.#services, nodes: this.#nodes, rows: this.#reader.rows };
    return {
      ...this.#restored!,
      backup: { clusterId, epoch, index, wallMs, bytes, sha256, ...counts },
    };
  }

  #through(stored: readonly StoredRow[]): RowChange[] {
    const passing: RowChange[] = [];
    for (const row of stored.map(fromStored)) {
      checkRow(row);
      if (row.table === 'service') this.#services++;
      if (IdentityRows.has(row.table)) this.#identityRows.set(row);
      else passing.push(row);
    }
    return passing;
  }

  #changed(): RowChange[] {
    const { clock, random } = this.#deps;
    const old = this.#identityRows.state();
    const { clusterId } = this.#reader.header!;
    if (old.cluster.clusterId !== clusterId) throw foreign();
    this.#nodes = old.nodes.length;
    const survivor = { ...this.#target, raftId: this.raftId };
    const at = { wallMs: clock.wallMs(), what: 'restored from a backup' };
    const changes = newEpoch(old, survivor, this.leap, at, random);
    changes.push(...this.#ownRows(old));
    const others = changes.filter((change) => !IdentityRows.has(change.table));
    for (const change of changes) {
      if (IdentityRows.has(change.table)) this.#identityRows.set(change);
    }
    return [...this.#identityRows.all(), ...others];
  }

  #ownRows(old: OldState): RowChange[] {
    const { clock, random } = this.#deps;
    const { nodeId } = this.#target;
    const { index } = this.leap;
    const wallMs = clock.wallMs();
    const keyPem = this.#keyPem;
    const subject = { nodeId, role: Role.MANAGER, clusterId: old.cluster.clusterId };
    const lifeMs = old.cluster.spec?.certExpiryMs || DEFAULTS.certExpiryMs;
    const spki = publicKeyOf(keyPem);
    const issued = issueFor(old.secrets, subject, spki, lifeMs, wallMs, random);
    const rootPem = rootOf(old.secrets).certificatePem;
    const tables = new Tables();
    for (const node of old.nodes) tables.table('node').set(node.id, node);
    const name = uniqueNodeName(tables, this.#target.nodeName);
    this.#restored = {
      identity: makeIdentity(issued.certificatePem, keyPem, rootPem),
      nodeName: name,
      formerManagers: formerManagers(old, nodeId),
    };
    const role = Role.MANAGER;
    const availability = Availability.ACTIVE;
    const node = Node.create({ id: nodeId, name, role, availability, createdWallMs: wallMs });
    const status = NodeStatus.create({ id: nodeId, liveness: Liveness.UNKNOWN });
    return [
      rowChange('node', node, index),
      rowChange('nodeStatus', status, index),
      rowChange('certificate', issued.row, index),
    ];
  }
}

function foreign(): SwarmError {
  return new SwarmError('DAMAGED', 'The backup is damaged: its rows are of another cluster.');
}
