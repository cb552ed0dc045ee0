import type { ControlService } from '../../proto/index.ts';
import type { Handlers } from '../../shared/rpc/rpc.ts';
import { ClusterSettings, JoinTokens } from './cluster.ts';
import type { ControlDeps } from './deps.ts';
import { Events } from './events.ts';
import { FreshReads } from './freshness.ts';
import { Images } from './images.ts';
import { Logs } from './logs.ts';
import { NetworkDiagnosis } from './network-diagnosis.ts';
import { Networks } from './networks.ts';
import { Nodes } from './nodes.ts';
import { Registries } from './registries.ts';
import { Services } from './services.ts';
import { TaskStreams } from './task-streams.ts';
import { Tasks } from './tasks.ts';
import { Usage } from './usage.ts';
import { Volumes } from './volumes.ts';
import { Watch } from './watch.ts';
import { Why } from './why.ts';

/**
 * What every manager answers by itself, with a read index. The rest is done by the leader: writes,
 * and what only its memory knows (sessions, logs, progress).
 */
export const LOCAL_METHODS: ReadonlySet<string> = new Set([
  'listServices',
  'getService',
  'listTasks',
  'getTask',
  'listNodes',
  'getNode',
  'listNetworks',
  'getNetwork',
  'getCluster',
  'getRaftStatus',
  'why',
  'events',
  'listRegistries',
  'listImages',
  'listVolumes',
]);

/** Who leads hears the nodes: it alone knows which of them lag behind. */
export const LEADER_FIRST: ReadonlySet<string> = new Set(['why']);

/**
 * The user's API. Validation and defaults live in this folder only; nothing here knows how a call
 * travels. Whoever may open the local socket may call all of it: callers are checked before.
 */
export function makeControl(deps: ControlDeps): Handlers<typeof ControlService> {
  const reads = new FreshReads(deps);
  const services = new Services(deps, reads);
  const tasks = new Tasks(deps, reads);
  const nodes = new Nodes(deps, reads);
  const networks = new Networks(deps, reads);
  const cluster = new ClusterSettings(deps, reads);
  const tokens = new JoinTokens(deps, reads);
  const events = new Events(deps, reads);
  const logs = new Logs(deps, reads);
  const streams = new TaskStreams(deps);
  const usage = new Usage(deps, reads);
  const diagnosis = new NetworkDiagnosis(deps, reads);
  const watch = new Watch(deps, reads);
  const why = new Why(deps, reads);
  const registries = new Registries(deps, reads);
  const images = new Images(deps, reads);
  const volumes = new Volumes(deps, reads);
  return {
    createService: (request, context) => services.create(request, context),
    updateService: (request, context) => services.update(request, context),
    scaleService: (request, context) => services.scale(request, context),
    rollbackService: (request, context) => services.rollback(request, context),
    removeService: (request, context) => services.remove(request, context),
    listServices: (request, context) => services.list(request, context),
    getService: (request, context) => services.get(request, context),
    watchService: (request, context) => watch.stream(request, context),
    listTasks: (request, context) => tasks.list(request, context),
    getTask: (request, context) => tasks.get(request, context),
    listNodes: (request, context) => nodes.list(request, context),
    getNode: (request, context) => nodes.get(request, context),
    updateNode: (request, context) => nodes.update(request, context),
    removeNode: (request, context) => nodes.remove(request, context),
    createNetwork: (request, context) => networks.create(request, context),
    listNetworks: (request, context) => networks.list(request, context),
    getNetwork: (request, context) => networks.get(request, context),
    removeNetwork: (request, context) => networks.remove(request, context),
    pruneNetworks: (request, context) => networks.prune(request, context),
    getCluster: (request, context) => cluster.get(request, context),
    updateCluster: (request, context) => cluster.update(request, context),
    joinToken: (request, context) => tokens.get(request, context),
    getRaftStatus: (_request, context) => cluster.raftStatus(context),
    why: (request, context) => why.answer(request, context),
    events: (request, context) => events.stream(request, context),
    logs: (request, context) => logs.stream(request, context),
    loginRegistry: (request, context) => registries.login(request, context),
    logoutRegistry: (request, context) => registries.logout(request, context),
    listRegistries: (request, context) => registries.list(request, context),
    addImage: (request, context) => images.add(request, context),
    listImages: (request, context) => images.list(request, context),
    removeImage: (request, context) => images.remove(request, context),
    pruneImages: (request, context) => images.prune(request, context),
    listVolumes: (request, context) => volumes.list(request, context),
    taskStream: (stream) => streams.open(stream),
    diagnoseNetwork: (request, context) => diagnosis.diagnose(request, context),
    usage: (request, context) => usage.stream(request, context),
  };
}
