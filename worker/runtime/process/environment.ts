import type { AssignedTask, PortBinding } from '../../../proto/index.ts';
import { expandTemplate, type TemplateNode, taskName } from '../templates.ts';

export const SYSTEM_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export interface Surroundings {
  readonly node: TemplateNode;
  /** Go before the system's own in PATH. */
  readonly pathDirs: readonly string[];
  readonly home: string;
  readonly user: string;
  readonly tmpdir: string;
  readonly ports: readonly PortBinding[];
  /** Address that the task should listen on. */
  readonly host: string;
  /** `KEY=VALUE` for each kind of generic resource that it has. */
  readonly units: readonly string[];
}

/** Nothing of the daemon's own environment is in it. The spec's entries win. */
export function taskEnvironment(
  task: AssignedTask,
  around: Surroundings,
): { readonly [key: string]: string } {
  const env: { [key: string]: string } = {
    PATH: [...around.pathDirs, SYSTEM_PATH].join(':'),
    HOME: around.home,
    USER: around.user,
    LANG: 'C.UTF-8',
    TMPDIR: around.tmpdir,
    HOST: around.host,
  };
  const [first] = around.ports;
  if (first) env['PORT'] = String(first.port);
  for (const port of around.ports) env[`PORT_${port.target}`] = String(port.port);
  const own = task.spec?.process?.env ?? [];
  for (const entry of [...around.units, ...own]) {
    const at = entry.indexOf('=');
    const value = expandTemplate(entry.slice(at + 1), task, around.node);
    if (at > 0) env[entry.slice(0, at)] = value;
  }
  return { ...env, ...identity(task, around.node.id) };
}

function identity(task: AssignedTask, nodeId: string): { readonly [key: string]: string } {
  return {
    SWARM_TASK_ID: task.id,
    SWARM_TASK_NAME: taskName(task, nodeId),
    SWARM_SERVICE_NAME: task.serviceName,
    SWARM_TASK_SLOT: String(task.slot),
    SWARM_NODE_ID: nodeId,
    SWARM_SERVICE_VERSION: String(task.revision),
  };
}
