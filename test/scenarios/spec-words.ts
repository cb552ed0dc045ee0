import {
  EndpointMode,
  FailureAction,
  type Init,
  OnDisconnect,
  Protocol,
  PublishMode,
  RestartCondition,
  ServiceMode,
  type ServiceSpec,
  UpdateOrder,
} from '../../proto/index.ts';

// biome-ignore lint/suspicious/noExplicitAny: a spec is built field by field from words.
type Loose = any;

/** A spec with the defaults that control/ puts in. */
export function defaultSpec(name: string): Init<ServiceSpec> {
  const config = { parallelism: 1, monitorMs: 5_000, progressDeadlineMs: 600_000 };
  return {
    name,
    mode: ServiceMode.REPLICATED,
    replicas: 1,
    task: {
      process: { command: ['run'], env: [], stopGraceMs: 10_000 },
      restart: { condition: RestartCondition.ANY, delayMs: 5_000 },
      placement: { constraints: [], spread: [] },
      drainTimeMs: 10_000,
    },
    update: config,
    rollback: config,
    endpoint: { ports: [] },
  };
}

/** Applies words like `replicas=3 port=8080:80 update-order=start-first` to a copy of `spec`. */
export function withWords(spec: Init<ServiceSpec>, words: readonly string[]): Init<ServiceSpec> {
  const out: Loose = JSON.parse(JSON.stringify(spec));
  for (const word of words) {
    const at = word.indexOf('=');
    apply(out, at < 0 ? word : word.slice(0, at), at < 0 ? '' : word.slice(at + 1));
  }
  return out;
}

function apply(spec: Loose, key: string, value: string): void {
  const update = /^(update|rollback)-(.+)$/.exec(key);
  if (update !== null) {
    applyUpdate(spec[update[1]!], update[2]!, value);
    return;
  }
  const { task } = spec;
  switch (key) {
    case 'mode':
      spec.mode = value === 'global' ? ServiceMode.GLOBAL : ServiceMode.REPLICATED;
      return;
    case 'replicas':
      spec.replicas = Number(value);
      return;
    case 'label':
      spec.labels = { ...spec.labels, [value]: 'x' };
      return;
    case 'env':
      task.process.env = [value];
      return;
    case 'image':
      task.process = null;
      task.container = { image: value };
      return;
    case 'platform':
      task.container = { ...task.container, imageAsked: 'app', imagePlatforms: [value] };
      return;
    case 'volume':
      task.container = {
        ...task.container,
        mounts: value
          .split('+')
          .map((source) => ({ type: 'volume', source, target: `/${source}` })),
      };
      return;
    case 'bind':
      task.container = {
        ...task.container,
        mounts: [{ type: 'bind', source: value, target: '/bound' }],
      };
      return;
    case 'network':
      task.networks = value === '' ? [] : value.split('+').map((target) => ({ target }));
      return;
    case 'endpoint-mode':
      spec.endpoint.mode = value === 'dnsrr' ? EndpointMode.DNSRR : EndpointMode.VIP;
      return;
    case 'port':
      spec.endpoint.ports = value.split('+').map(portOf);
      return;
    case 'constraint':
      task.placement.constraints = value === '' ? [] : value.split('+');
      return;
    case 'spread':
      task.placement.spread = value.split('+');
      return;
    case 'max-per-node':
      task.placement.maxReplicasPerNode = Number(value);
      return;
    case 'reserve-cpu':
      task.reservations = { ...task.reservations, nanoCpus: Number(value) * 1e9 };
      return;
    case 'reserve-memory':
      task.reservations = { ...task.reservations, memoryBytes: Number(value) * 2 ** 20 };
      return;
    case 'reserve-gpu':
      task.reservations = { ...task.reservations, generic: { gpu: Number(value) } };
      return;
    case 'ready':
      task.ready = { http: value };
      return;
    case 'force':
      task.forceUpdate = Number(value);
      return;
    case 'on-disconnect-stop':
      task.onDisconnect = OnDisconnect.STOP;
      task.onDisconnectAfterMs = duration(value);
      return;
    default:
      applyRestart(task.restart, key, value);
  }
}

function applyRestart(restart: Loose, key: string, value: string): void {
  switch (key) {
    case 'restart-condition':
      restart.condition = { any: 0, 'on-failure': 1, none: 2 }[value];
      return;
    case 'restart-delay':
      restart.delayMs = duration(value);
      return;
    case 'restart-max-attempts':
      restart.maxAttempts = Number(value);
      return;
    case 'restart-window':
      restart.windowMs = duration(value);
      return;
    default:
      throw new Error(`no such word: ${key}`);
  }
}

function applyUpdate(config: Loose, key: string, value: string): void {
  const actions: Loose = {
    pause: FailureAction.PAUSE,
    continue: FailureAction.CONTINUE,
    rollback: FailureAction.ROLLBACK,
  };
  switch (key) {
    case 'parallelism':
      config.parallelism = Number(value);
      return;
    case 'delay':
      config.delayMs = duration(value);
      return;
    case 'monitor':
      config.monitorMs = duration(value);
      return;
    case 'order':
      config.order = value === 'start-first' ? UpdateOrder.START_FIRST : UpdateOrder.STOP_FIRST;
      return;
    case 'action':
      config.failureAction = actions[value];
      return;
    case 'ratio':
      config.maxFailureRatio = Number(value);
      return;
    case 'deadline':
      config.progressDeadlineMs = duration(value);
      return;
    default:
      throw new Error(`no such word: update-${key}`);
  }
}

/** `8080:80`, `:80` (dynamic), `8080:80/udp`, `8080:80@host`. */
function portOf(text: string): object {
  const parts = /^(\d*):(\d+)(\/udp)?(@host)?$/.exec(text);
  if (parts === null) throw new Error(`no port: ${text}`);
  return {
    published: Number(parts[1] || 0),
    target: Number(parts[2]),
    protocol: parts[3] === undefined ? Protocol.TCP : Protocol.UDP,
    mode: parts[4] === undefined ? PublishMode.INGRESS : PublishMode.HOST,
  };
}

/** `250ms`, `5s`, `2m`, `1h`. */
export function duration(text: string): number {
  const parts = /^(\d+)(ms|s|m|h)$/.exec(text);
  if (parts === null) throw new Error(`no duration: ${text}`);
  return Number(parts[1]) * { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }[parts[2]!]!;
}
