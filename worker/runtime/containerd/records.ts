import { join } from 'node:path';
import type { AssignedTask, PortBinding } from '../../../proto/index.ts';
import type { ImageCheck } from '../../../shared/distribution/documents.ts';
import type { Io } from '../../io.ts';
import type { Attachment, LocalEndpoint } from '../../network/container-network.ts';
import type { Exit } from '../../runtime.ts';
import { fsyncDirectoryOf } from '../../system-io.ts';

/** What `ID.json` says: written before anything of the container is made, and once it is complete. */
export interface ContainerRecord {
  readonly boot: string;
  /** Complete: the container only has to be started. */
  readonly prepared: boolean;
  /** Names its address and its device. */
  readonly index: number;
  readonly ports: readonly PortBinding[];
  /** Ports in the container that others may reach; the rest is for this node's own probes. */
  readonly published: readonly number[];
  /** Its addresses on networks; none: it has only one that the node itself sees. */
  readonly attachments?: readonly Attachment[];
  /** Nobody connects it. Absent: the node does. */
  readonly network?: 'host' | 'none';
  readonly names?: boolean;
  readonly dns?: readonly string[];
  readonly image: string;
  readonly chainId: string;
  readonly stopSignal: string;
  readonly terminal: boolean;
  readonly check?: ImageCheck;
  /** What it was to have and this machine does not give. */
  readonly warning?: string;
}

/** Where the container is in the network of its node. */
/** What a container's record keeps of its task's networks. */
export function attachmentsOf(task: AssignedTask): readonly Attachment[] {
  // Not spread: rows of a wire format keep their values elsewhere.
  return task.attachments.map(({ networkId, address, address6, aliases }) => ({
    networkId,
    address,
    address6,
    aliases,
  }));
}

/** Its addresses are the cluster's to give; others have their node's own until they are gone. */
export function isOnNetworks(record: ContainerRecord | undefined): boolean {
  return (record?.attachments?.length ?? 0) > 0;
}

export function endpointOf(taskId: string, record: ContainerRecord): LocalEndpoint {
  const { index, ports, attachments = [], names = false, dns = [] } = record;
  return { taskId, index, ports, attachments, names, dns };
}

/** The lowest index that no container of this node has. */
export function freeIndex(taken: ReadonlyMap<number, string>): number {
  let index = 1;
  while (taken.has(index)) index++;
  return index;
}

/** The task ports that lead into the container from outside. */
export function publishedPorts(record: ContainerRecord): readonly PortBinding[] {
  return record.ports.filter(({ target }) => record.published.includes(target));
}

/**
 * The files of all containers of a node lie in one directory: `ID.json`, `ID.prepared` once it is
 * complete, `ID.started` once its start was ordered, `ID.exit` once it has ended or never will begin,
 * `ID.removing` once nobody needs to know of it any more, `ID.d` with files bound into it.
 */
export class Records {
  readonly directory: string;
  readonly #io: Io;

  constructor(io: Io, directory: string) {
    this.#io = io;
    this.directory = directory;
  }
  open(): void {
    this.#io.mkdir(this.directory);
  }
  ids(): readonly string[] {
    const names = this.#io.list(this.directory);
    const ids = names.flatMap(
      (name) => /^([^.]+)\.(json|exit|prepared|started|removing)$/.exec(name)?.[1] ?? [],
    );
    return [...new Set(ids)];
  }
  read(id: string): ContainerRecord | undefined {
    const record = this.#json<ContainerRecord>(this.#path(id, 'json'));
    if (record === undefined || record.prepared) return record;
    return { ...record, prepared: this.#io.stat(this.#path(id, 'prepared')) !== undefined };
  }
  /** Complete. A file of its own: to write over another one waits for the disk. */
  markPrepared(id: string): void {
    this.#io.write(this.#path(id, 'prepared'), '');
  }
  write(id: string, record: ContainerRecord): void {
    this.#io.unlink(this.#path(id, 'prepared'));
    this.#replace(this.#path(id, 'json'), JSON.stringify(record));
  }
  started(id: string): boolean {
    return this.#io.stat(this.#path(id, 'started')) !== undefined;
  }
  async markStarted(id: string): Promise<void> {
    const path = this.#path(id, 'started');
    this.#io.write(path, '');
    await fsyncDirectoryOf(this.#io, path);
  }
  exit(id: string): Exit | undefined {
    return this.#json<Exit>(this.#path(id, 'exit'));
  }
  /** On the disk when it resolves: what containerd knows of it may go. */
  async writeExit(id: string, exit: Exit): Promise<void> {
    const path = this.#path(id, 'exit');
    this.#io.write(`${path}.tmp`, JSON.stringify(exit));
    await this.#io.fsync(`${path}.tmp`);
    this.#io.rename(`${path}.tmp`, path);
    await fsyncDirectoryOf(this.#io, path);
  }
  /** From now on it is only cleared away. */
  markRemoving(id: string): void {
    this.#io.write(this.#path(id, 'removing'), '');
  }
  removing(id: string): boolean {
    return this.#io.stat(this.#path(id, 'removing')) !== undefined;
  }
  /** Where the files are that are bound into the container. */
  files(id: string): string {
    return this.#path(id, 'd');
  }
  removeFiles(id: string): void {
    this.#io.removeTree(this.files(id));
  }
  /** Everything else of it is gone. */
  forget(id: string): void {
    this.#io.unlink(this.#path(id, 'started'));
    this.#io.unlink(this.#path(id, 'prepared'));
    this.#io.unlink(this.#path(id, 'json'));
    this.#io.unlink(this.#path(id, 'exit'));
    this.#io.unlink(this.#path(id, 'removing'));
  }
  #path(id: string, what: string): string {
    return join(this.directory, `${id}.${what}`);
  }
  #replace(path: string, text: string): void {
    this.#io.write(`${path}.tmp`, text);
    this.#io.rename(`${path}.tmp`, path);
  }
  #json<T>(path: string): T | undefined {
    const text = this.#io.read(path)?.toString('utf8');
    if (text === undefined) return undefined;
    try {
      return JSON.parse(text) as T;
    } catch {
      return undefined;
    }
  }
}
