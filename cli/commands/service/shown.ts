import {
  type ContainerSpec,
  type PortConfig,
  Protocol,
  PublishMode,
  type ServiceView,
  type TaskSpec,
} from '../../../proto/index.ts';
import { printable } from '../../output/printable.ts';
import { truncate } from '../../output/table.ts';

/** The image, or the command line of a process. */
export function whatRuns(task: TaskSpec | null, whole: boolean): string {
  const text = task?.process
    ? task.process.command.map(quoted).join(' ')
    : imageText(task?.container ?? null);
  return whole ? printable(text) : truncate(printable(text), 40);
}

function imageText(container: ContainerSpec | null): string {
  if (container === null) return '';
  const asked = container.imageAsked || container.image.replace(/@sha256:.*$/, '');
  return container.imageLocal ? `${asked} (local)` : asked;
}

/** A word as a shell would need it. */
function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** "*:8080->80/tcp" for each published port, as allocated when that has happened. */
export function portsText(view: ServiceView): string {
  const allocated = view.state?.ports ?? [];
  const ports = allocated.length > 0 ? allocated : (view.service?.spec?.endpoint?.ports ?? []);
  return ports.map(portText).join(', ');
}

export function portText(port: PortConfig): string {
  const protocol = port.protocol === Protocol.UDP ? 'udp' : 'tcp';
  const published = port.published === 0 ? '?' : String(port.published);
  const host = port.bind === '' ? '*' : port.bind;
  const mode = port.mode === PublishMode.HOST ? ' (host)' : '';
  return `${host}:${published}->${port.target}/${protocol}${mode}`;
}
