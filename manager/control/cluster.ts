import {
  Cluster,
  ClusterSpec,
  ClusterView,
  type Empty,
  type JoinTokenRequest,
  JoinTokenResponse,
  type RaftStatus,
  Role,
  type UpdateClusterRequest,
} from '../../proto/index.ts';
import { SwarmError } from '../../shared/errors.ts';
import { DEFAULTS } from '../../shared/limits.ts';
import type { CallContext } from '../../shared/rpc/rpc.ts';
import { CLUSTER_KEY } from '../store/schema.ts';
import type { View } from '../store/view.ts';
import type { ControlDeps } from './deps.ts';
import { check, checkEnum } from './field.ts';
import type { FreshReads } from './freshness.ts';
import { clusterStatus } from './raft-status.ts';
import { managerWarnings } from './warnings.ts';
import { asked, write } from './writes.ts';

/** The cluster as a whole: its settings, its consensus. */
export class ClusterSettings {
  readonly #deps: ControlDeps;
  readonly #reads: FreshReads;

  constructor(deps: ControlDeps, reads: FreshReads) {
    this.#deps = deps;
    this.#reads = reads;
  }

  async get(_request: Empty, context: CallContext): Promise<ClusterView> {
    const freshness = await this.#reads.before(context.consistency);
    return ClusterView.with(this.#view(), { freshness });
  }

  async update(request: UpdateClusterRequest, context: CallContext): Promise<ClusterView> {
    const spec = request.spec ?? ClusterSpec.create();
    const fields = request.fields.map(fieldOf);
    if (fields.length === 0)
      throw new SwarmError('INVALID_ARGUMENT', 'no setting is named', {
        command: 'swarm cluster update --help',
      });
    for (const field of fields) LIMITS_OF[field](spec);
    await write(this.#deps, context, (draft) => {
      const cluster = clusterRow(draft);
      if (request.version !== 0 && request.version !== cluster.version)
        throw new SwarmError('VERSION_CONFLICT', 'the settings were changed since you read them', {
          command: 'swarm cluster inspect',
        });
      const old = cluster.spec ?? ClusterSpec.create();
      const changed = fields.filter((field) => old[field] !== spec[field]);
      if (changed.length === 0) return undefined;
      const taken = Object.fromEntries(changed.map((field) => [field, spec[field]]));
      draft.put('cluster', Cluster.with(cluster, { spec: ClusterSpec.with(old, taken) }));
      const message = changed.map((field) => `${snakeCase(field)}=${spec[field]}`).join(', ');
      const id = cluster.clusterId;
      draft.emit({ kind: 'cluster', action: 'update', id, name: CLUSTER_KEY, message });
      return undefined;
    });
    return this.#view();
  }

  raftStatus(context: CallContext): Promise<RaftStatus> {
    return clusterStatus(this.#deps, context);
  }

  #view(): ClusterView {
    const { view } = this.#deps.store;
    const nodes = [...view.table('node').all()];
    const base = ClusterView.create({
      rootDigest: this.#deps.tokens.rootDigest(),
      managers: nodes.filter((node) => node.role === Role.MANAGER).length,
      nodes: nodes.length,
      warnings: managerWarnings(view, this.#deps.raft.status()),
    });
    return ClusterView.with(base, { cluster: clusterRow(view) });
  }
}

/** Join tokens. Rotating one lets nobody in with the old one from then on; members stay. */
export class JoinTokens {
  readonly #deps: ControlDeps;
  readonly #reads: FreshReads;

  constructor(deps: ControlDeps, reads: FreshReads) {
    this.#deps = deps;
    this.#reads = reads;
  }

  async get(request: JoinTokenRequest, context: CallContext): Promise<JoinTokenResponse> {
    checkEnum(request.role, Role, 'role');
    const { tokens, store } = this.#deps;
    if (!request.rotate) await this.#reads.before(context.consistency);
    if (request.rotate)
      await asked(this.#deps, context, (options) => tokens.rotate(request.role, options));
    const token = tokens.get(request.role);
    const members = [...store.view.table('member').all()].filter((member) => member.address !== '');
    return JoinTokenResponse.create({ token, managers: members.map((row) => row.address).sort() });
  }
}

type Field = keyof ClusterSpec;

function clusterRow(view: View): Cluster {
  const cluster = view.table('cluster').get(CLUSTER_KEY);
  if (cluster === undefined) throw new SwarmError('NOT_IN_CLUSTER', 'there is no cluster here');
  return cluster;
}

/** Accepts taskHistoryLimit, task_history_limit and task-history-limit. */
function fieldOf(name: string): Field {
  const camel = name.replace(/[-_]([a-z])/g, (_all, letter: string) => letter.toUpperCase());
  const known = Object.keys(LIMITS_OF).find((field) => field === camel || field === `${camel}Ms`);
  if (known !== undefined) return known as Field;
  const allowed = Object.keys(LIMITS_OF).map((field) => snakeCase(field).replaceAll('_', '-'));
  throw new SwarmError(
    'INVALID_ARGUMENT',
    `there is no setting "${name}": use ${allowed.join(', ')}`,
  );
}

function snakeCase(field: string): string {
  return field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

const HOUR_MS = 3_600_000;

const LIMITS_OF: { readonly [F in Field]: (spec: ClusterSpec) => void } = {
  taskHistoryLimit: (spec) => within('task_history_limit', spec.taskHistoryLimit, 0, 100),
  // Silence is first suspected, then believed.
  nodeGraceMs: (spec) =>
    within('node_grace_ms', spec.nodeGraceMs, DEFAULTS.suspectMs + 500, HOUR_MS),
  restartGraceMs: (spec) => within('restart_grace_ms', spec.restartGraceMs, 0, 24 * HOUR_MS),
  electionTimeoutMs: (spec) => within('election_timeout_ms', spec.electionTimeoutMs, 100, 60_000),
  certExpiryMs: (spec) =>
    within('cert_expiry_ms', spec.certExpiryMs, 10_000, 10 * 365 * 24 * HOUR_MS),
  allowHostAccess: () => undefined,
};

function within(field: string, value: number, min: number, max: number): void {
  const unit = field === 'task_history_limit' ? '' : ' ms';
  check(
    value >= min && value <= max,
    field,
    `${value}${unit} is out of range`,
    `${min} to ${max}${unit}`,
  );
}
