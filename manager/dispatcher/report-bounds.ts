import {
  HealthResult,
  ListenFailure,
  NodeDescription,
  type NodeVolume,
  NodeVolumes,
  TaskStatus,
} from '../../proto/index.ts';
import { SwarmError } from '../../shared/errors.ts';
import { LIMITS } from '../../shared/limits.ts';

/**
 * What agents say goes into rows of the cluster: it is as large as honest agents make it, whoever the
 * agent is. Texts for people are cut; what only a broken agent sends is refused.
 */

const OUTPUTS_KEPT = 5;
/** Numbers and names of one status, beside its texts. */
const BARE_STATUS_BYTES = 200;
const PORT_BYTES = 40;

export function boundedStatus(status: TaskStatus): TaskStatus {
  return TaskStatus.with(status, {
    message: cut(status.message),
    err: cut(status.err),
    warning: cut(status.warning),
    lastOutput: status.lastOutput.slice(-OUTPUTS_KEPT).map(cutOutput),
    lastLines: status.lastLines.slice(-OUTPUTS_KEPT).map(cutLine),
    healthLog: status.healthLog
      .slice(-OUTPUTS_KEPT)
      .map((result) => HealthResult.with(result, { output: cutOutput(result.output) })),
    ports: status.ports.slice(0, LIMITS.portsPerServiceMax),
    layers: status.layers.slice(0, LIMITS.imageLayersMax),
  });
}

/** About how much a status takes in an entry, with the event that tells of it. */
export function statusBytes(status: TaskStatus): number {
  const { message, err, warning, lastOutput, lastLines, healthLog, ports } = status;
  const texts = [message, err, err, warning, ...lastOutput, ...lastLines];
  for (const { output } of healthLog) texts.push(output);
  const bytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  return BARE_STATUS_BYTES + bytes + ports.length * PORT_BYTES;
}

export function boundedFailures(failures: readonly ListenFailure[]): ListenFailure[] {
  return failures
    .slice(0, LIMITS.listenFailuresMax)
    .map((failure) => ListenFailure.with(failure, { reason: cutLine(failure.reason) }));
}

/** Throws INVALID_ARGUMENT. */
export function checkNode(
  description: NodeDescription | null | undefined,
  volumes: readonly NodeVolume[],
): void {
  const described = descriptionBytes(description);
  const named = volumesBytes(volumes);
  if (described > LIMITS.nodeDescriptionBytesMax)
    throw new SwarmError('INVALID_ARGUMENT', `A node says ${described} bytes of itself.`);
  if (volumes.length > LIMITS.volumesPerNodeMax || named > LIMITS.nodeVolumesBytesMax)
    throw new SwarmError('INVALID_ARGUMENT', `A node tells of ${volumes.length} volumes.`);
}

export function descriptionBytes(description: NodeDescription | null | undefined): number {
  return description ? NodeDescription.encode(description).length : 0;
}
export function volumesBytes(volumes: readonly NodeVolume[]): number {
  return volumes.length === 0 ? 0 : NodeVolumes.encode(NodeVolumes.create({ volumes })).length;
}

function cut(text: string): string {
  return text.slice(0, LIMITS.statusTextCharsMax);
}
function cutLine(text: string): string {
  return text.slice(0, LIMITS.lastLineCharsMax);
}
function cutOutput(text: string): string {
  return text.slice(0, LIMITS.healthOutputCharsKept);
}
