import type { AssignedTask } from '../../proto/index.ts';
import {
  fillPlaceholders,
  PLACEHOLDERS_TEXT,
  unknownPlaceholder,
} from '../../shared/placeholders.ts';
import { RuntimeError } from '../runtime.ts';

/** The node, as templates name it. */
export interface TemplateNode {
  readonly id: string;
  readonly hostname: string;
  /** As registries name it. */
  readonly architecture: string;
}

/** As Docker names a task: SERVICE.SLOT.ID, and SERVICE.NODE.ID where there is no slot. */
export function taskName(task: AssignedTask, nodeId: string): string {
  return `${task.serviceName}.${task.slot > 0 ? task.slot : nodeId}.${task.id}`;
}

/**
 * Puts this task's values into Docker's placeholders: `{{.Task.Slot}}` and the like. Throws
 * RuntimeError INVALID_SPEC for one that is none, or a label that the service has not.
 */
export function expandTemplate(text: string, task: AssignedTask, node: TemplateNode): string {
  const unknown = unknownPlaceholder(text);
  if (unknown !== undefined) {
    throw new RuntimeError(
      'INVALID_SPEC',
      `${unknown} is no placeholder: ${PLACEHOLDERS_TEXT} are`,
    );
  }
  const values = {
    '.Service.ID': task.serviceId,
    '.Service.Name': task.serviceName,
    '.Node.ID': node.id,
    '.Node.Hostname': node.hostname,
    '.Node.Platform.OS': 'linux',
    '.Node.Platform.Architecture': node.architecture === 'amd64' ? 'x86_64' : 'aarch64',
    '.Task.ID': task.id,
    '.Task.Name': taskName(task, node.id),
    '.Task.Slot': task.slot > 0 ? String(task.slot) : node.id,
  };
  return fillPlaceholders(
    text,
    (name) => values[name],
    (key) => {
      const value = task.serviceLabels[key];
      if (value !== undefined) return value;
      throw new RuntimeError(
        'INVALID_SPEC',
        `the service ${task.serviceName} has no label ${key}: give it with --label ${key}=VALUE`,
      );
    },
  );
}
