import {
  FailureAction,
  OnDisconnect,
  type Resources,
  RestartCondition,
  ServiceMode,
  type ServiceSpec,
  type TaskSpec,
  type UpdateConfig,
  UpdateOrder,
} from '../../proto/index.ts';
import { SwarmError } from '../../shared/errors.ts';
import { GENERIC_KIND } from '../../shared/generic-resources.ts';
import { LIMITS } from '../../shared/limits.ts';
import { isLogMistake, logBounds } from '../../shared/log-options.ts';
import { check, checkEnum, checkLabels, invalid } from './field.ts';
import { validateNetworks } from './service-networks.ts';
import { validateContainer } from './validate-container.ts';
import { validateHealth, validateProbe } from './validate-health.ts';
import { validatePlacement } from './validate-placement.ts';
import { validateEndpoint } from './validate-ports.ts';
import { validateProcess } from './validate-process.ts';
import { validateSwap } from './validate-rights.ts';

const NAME = /^[a-zA-Z0-9](?:[a-zA-Z0-9_-]*[a-zA-Z0-9])?$/;
const MEMORY_MIN = 4 << 20;
const NANO_CPUS_MIN = 1_000_000;

/**
 * Throws INVALID_SPEC, naming the field and what is allowed, or UNSUPPORTED. Looks at the spec
 * alone; what depends on the state of the cluster is checked where the row is written.
 */
export function validateService(spec: ServiceSpec): void {
  validateName(spec.name);
  checkLabels(spec.labels, 'labels', LIMITS.labelBytesMax);
  validateMode(spec);
  if (spec.task === null) throw noTask();
  validateTask(spec.task, spec.mode);
  validateNetworks(spec, spec.task);
  if (spec.update !== null) validateUpdate(spec.update, 'update');
  if (spec.rollback !== null) validateUpdate(spec.rollback, 'rollback');
  if (spec.endpoint !== null) validateEndpoint(spec.endpoint);
}

function validateName(name: string): void {
  check(
    name.length <= LIMITS.serviceNameMax && NAME.test(name),
    'name',
    name === '' ? 'it is empty' : `"${name.slice(0, 100)}" is no service name`,
    `1 to ${LIMITS.serviceNameMax} letters and digits, with - and _ inside`,
  );
}

function validateMode(spec: ServiceSpec): void {
  checkEnum(spec.mode, ServiceMode, 'mode');
  if (spec.mode === ServiceMode.REPLICATED_JOB || spec.mode === ServiceMode.GLOBAL_JOB)
    throw new SwarmError(
      'UNSUPPORTED',
      'mode: this release runs replicated and global services, not jobs',
      {
        advice: 'Use --mode replicated with --restart-condition none or on-failure.',
      },
    );
  check(
    spec.replicas <= LIMITS.replicasMax,
    'replicas',
    `${spec.replicas} replicas`,
    `0 to ${LIMITS.replicasMax}`,
  );
  check(
    spec.mode === ServiceMode.REPLICATED || spec.replicas === 0,
    'replicas',
    'a global service has one task on each node',
    'replicas with replicated services only',
  );
  check(spec.maxConcurrent === 0, 'max_concurrent', 'the service is no job', 'only with jobs');
}

function noTask(): SwarmError {
  return invalid('task', 'there is nothing to run', 'an IMAGE, or --process COMMAND');
}

function validateTask(task: TaskSpec, mode: ServiceMode): void {
  if (task.process !== null && task.container !== null)
    throw invalid('task', 'both an image and a command of the host are given', 'one of them');
  if (task.process !== null) validateProcess(task.process);
  else if (task.container !== null) validateContainer(task.container);
  else throw noTask();
  validateResources(task);
  if (task.container !== null) validateSwap(task.container, task.limits);
  if (task.restart !== null)
    checkEnum(task.restart.condition, RestartCondition, 'restart.condition');
  if (task.placement !== null) validatePlacement(task.placement, mode);
  if (task.health !== null) validateHealth(task.health, task.container !== null);
  if (task.ready !== null) validateProbe(task.ready);
  checkEnum(task.onDisconnect, OnDisconnect, 'on_disconnect');
  const bounds = logBounds(task.logDriver);
  if (isLogMistake(bounds)) throw invalid(bounds.field, bounds.wrong, bounds.allowed);
}

function validateResources(task: TaskSpec): void {
  if (task.limits !== null) validateAmounts(task.limits, 'limits');
  if (task.reservations !== null) validateAmounts(task.reservations, 'reservations');
  const { limits, reservations } = task;
  if (limits === null || reservations === null) return;
  check(
    limits.memoryBytes === 0 || reservations.memoryBytes <= limits.memoryBytes,
    'reservations.memory',
    `${reservations.memoryBytes} bytes are more than the limit`,
    `at most the limit, ${limits.memoryBytes} bytes`,
  );
  check(
    limits.nanoCpus === 0 || reservations.nanoCpus <= limits.nanoCpus,
    'reservations.cpu',
    `${reservations.nanoCpus / 1e9} is more than the limit`,
    `at most the limit, ${limits.nanoCpus / 1e9}`,
  );
}

function validateAmounts(amounts: Resources, field: string): void {
  for (const kind of Object.keys(amounts.generic))
    check(GENERIC_KIND.test(kind), `${field}.generic`, `"${kind}" is no kind`, 'names such as gpu');
  const { memoryBytes, nanoCpus } = amounts;
  check(
    memoryBytes === 0 || memoryBytes >= MEMORY_MIN,
    `${field}.memory`,
    `${memoryBytes} bytes are too little`,
    'at least 4 MiB',
  );
  check(
    nanoCpus === 0 || nanoCpus >= NANO_CPUS_MIN,
    `${field}.cpu`,
    `${nanoCpus / 1e9} is too little`,
    'at least 0.001',
  );
}

function validateUpdate(config: UpdateConfig, field: 'update' | 'rollback'): void {
  checkEnum(config.failureAction, FailureAction, `${field}.failure_action`);
  checkEnum(config.order, UpdateOrder, `${field}.order`);
  check(
    field === 'update' || config.failureAction !== FailureAction.ROLLBACK,
    'rollback.failure_action',
    'a rollback cannot be rolled back',
    'pause, continue',
  );
  const ratio = config.maxFailureRatio;
  check(ratio >= 0 && ratio <= 1, `${field}.max_failure_ratio`, `${ratio}`, '0 to 1');
  check(
    config.parallelism <= LIMITS.replicasMax,
    `${field}.parallelism`,
    `${config.parallelism}`,
    `0 (all at once) to ${LIMITS.replicasMax}`,
  );
}
