import {
  ContainerSpec,
  EndpointSpec,
  HealthCheck,
  OnDisconnect,
  Placement,
  Probe,
  ProcessSpec,
  Resources,
  RestartPolicy,
  ServiceSpec,
  TaskSpec,
  UpdateConfig,
} from '../../proto/index.ts';
import { DEFAULTS } from '../../shared/limits.ts';
import { signalName } from './signals.ts';

/**
 * Docker's defaults, put into every accepted spec, so that a stored spec says all that holds. The
 * wire does not tell a zero from an absent number, hence: an absent message takes all its defaults;
 * a restart policy or an update config that is there is taken as it is, so its zeros are meant; the
 * times that stand by themselves (stop grace, drain time, those of checks and deadlines) take their
 * default when they are zero, and who means none gives 1 ms. Doing this twice changes nothing.
 */
export function withDefaults(spec: ServiceSpec): ServiceSpec {
  return ServiceSpec.with(spec, {
    task: spec.task === null ? null : taskDefaults(spec.task),
    update: updateDefaults(spec.update),
    rollback: updateDefaults(spec.rollback),
    endpoint: spec.endpoint ?? EndpointSpec.create(),
  });
}

function taskDefaults(task: TaskSpec): TaskSpec {
  const stops = task.onDisconnect === OnDisconnect.STOP;
  const runtime =
    task.process !== null
      ? { process: processDefaults(task.process) }
      : { container: task.container === null ? null : containerDefaults(task.container) };
  return TaskSpec.with(task, {
    ...runtime,
    limits: task.limits ?? Resources.create(),
    reservations: task.reservations ?? Resources.create(),
    restart: restartDefaults(task.restart),
    placement: task.placement ?? Placement.create(),
    // What is not said of a container's check is its image's to say.
    health: task.container === null ? healthDefaults(task.health) : task.health,
    ready: probeDefaults(task.ready),
    drainTimeMs: task.drainTimeMs || DEFAULTS.drainTimeMs,
    onDisconnectAfterMs: stops ? task.onDisconnectAfterMs || DEFAULTS.onDisconnectAfterMs : 0,
  });
}

function processDefaults(spec: ProcessSpec): ProcessSpec {
  return ProcessSpec.with(spec, {
    stopSignal: signalName(spec.stopSignal) ?? 'SIGTERM',
    stopGraceMs: spec.stopGraceMs || DEFAULTS.stopGraceMs,
  });
}

/** An image may name its own stop signal, so none is put in here. */
function containerDefaults(spec: ContainerSpec): ContainerSpec {
  return ContainerSpec.with(spec, {
    stopSignal: signalName(spec.stopSignal) ?? '',
    stopGraceMs: spec.stopGraceMs || DEFAULTS.stopGraceMs,
  });
}

function restartDefaults(restart: RestartPolicy | null): RestartPolicy {
  return restart ?? RestartPolicy.create({ delayMs: DEFAULTS.restartDelayMs });
}

function updateDefaults(config: UpdateConfig | null): UpdateConfig {
  const given =
    config ??
    UpdateConfig.create({
      parallelism: DEFAULTS.updateParallelism,
      monitorMs: DEFAULTS.updateMonitorMs,
    });
  // Without a deadline an update whose task never runs would hang for ever.
  const progressDeadlineMs = given.progressDeadlineMs || DEFAULTS.updateProgressDeadlineMs;
  return UpdateConfig.with(given, { progressDeadlineMs });
}

function healthDefaults(health: HealthCheck | null): HealthCheck | null {
  if (health === null) return null;
  return HealthCheck.with(health, {
    intervalMs: health.intervalMs || DEFAULTS.healthIntervalMs,
    timeoutMs: health.timeoutMs || DEFAULTS.healthTimeoutMs,
    retries: health.retries || DEFAULTS.healthRetries,
    startIntervalMs: health.startIntervalMs || DEFAULTS.healthStartIntervalMs,
  });
}

function probeDefaults(probe: Probe | null): Probe | null {
  if (probe === null) return null;
  return Probe.with(probe, {
    intervalMs: probe.intervalMs || DEFAULTS.readyIntervalMs,
    timeoutMs: probe.timeoutMs || DEFAULTS.readyTimeoutMs,
  });
}
