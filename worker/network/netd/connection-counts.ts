import { readFile } from 'node:fs/promises';
import { type NetdRows, Protocol } from '../../../proto/index.ts';

/** Open TCP connections of this netd, by task. */
export class ConnectionCounts {
  readonly #open = new Map<string, number>();

  opened(taskId: string): void {
    this.#open.set(taskId, this.of(taskId) + 1);
  }
  closed(taskId: string): void {
    const left = this.of(taskId) - 1;
    if (left > 0) this.#open.set(taskId, left);
    else this.#open.delete(taskId);
  }
  of(taskId: string): number {
    return this.#open.get(taskId) ?? 0;
  }
}

/** The TCP ports that a task listens on, where it is one of this node. */
export function localPortsOf(
  rows: Pick<NetdRows, 'services'>,
  nodeId: string,
  taskId: string,
): ReadonlySet<number> {
  const ports = new Set<number>();
  for (const service of rows.services)
    for (const backend of service.backends)
      if (backend.taskId === taskId && backend.nodeId === nodeId)
        for (const binding of backend.ports)
          if (binding.protocol === Protocol.TCP && binding.port !== 0) ports.add(binding.port);
  return ports;
}

/**
 * Connections that the kernel has open at these local ports: those that came by way of other nodes'
 * proxies are seen here and nowhere else. Zero where /proc cannot be read.
 */
export async function countEstablished(
  ports: ReadonlySet<number>,
  read: (path: string) => Promise<string> = (path) => readFile(path, 'latin1'),
): Promise<number> {
  if (ports.size === 0) return 0;
  const texts = await Promise.all(
    ['/proc/net/tcp', '/proc/net/tcp6'].map((path) => read(path).catch(() => '')),
  );
  return texts.reduce((sum, text) => sum + countIn(text, ports), 0);
}

// ESTABLISHED, one that the task has not accepted yet included; SYN_RECV, which is about to be; and
// CLOSE_WAIT: the client has said all it will, and waits for the answer.
const OPEN_STATES = new Set(['01', '03', '08']);

function countIn(text: string, ports: ReadonlySet<number>): number {
  let count = 0;
  for (const line of text.split('\n')) {
    const fields = /^\s*\d+: [0-9A-F]+:([0-9A-F]{4}) \S+ ([0-9A-F]{2}) /.exec(line);
    if (fields === null || !OPEN_STATES.has(fields[2]!)) continue;
    if (ports.has(Number.parseInt(fields[1]!, 16))) count++;
  }
  return count;
}
