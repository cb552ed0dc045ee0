import type { AssignedTask } from '../../../proto/index.ts';
import { taskName } from '../process/environment.ts';
import { RuntimeError } from '../runtime.ts';

/** The node, as templates name it. */
export interface TemplateNode {
  readonly id: string;
  readonly hostname: string;
  /** As registries name it. */
  readonly architecture: string;
}

/** Docker's placeholders in environment, host name and mounts: `{{.Task.Slot}}` and the like. */
export function expandTemplate(text: string, task: AssignedTask, node: TemplateNode): string {
  if (!text.includes('{{')) return text;
  const values: { readonly [name: string]: string } = {
    '.Service.ID': task.serviceId,
    '.Service.Name': task.serviceName,
    '.Node.ID': node.id,
    '.Node.Hostname': node.hostname,
    '.Node.Platform.Architecture': node.architecture === 'amd64' ? 'x86_64' : 'aarch64',
    '.Node.Platform.OS': 'linux',
    '.Task.ID': task.id,
    '.Task.Name': taskName(task, node.id),
    '.Task.Slot': task.slot > 0 ? String(task.slot) : node.id,
  };
  return text.replaceAll(/\{\{\s*([^{}]*?)\s*\}\}/g, (whole, name: string) => {
    const value = values[name];
    if (value !== undefined) return value;
    throw new RuntimeError(
      'INVALID_SPEC',
      `${whole} is no placeholder: ${Object.keys(values).join(', ')} are`,
    );
  });
}
