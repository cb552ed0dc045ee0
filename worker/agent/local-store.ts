import { join } from 'node:path';
import { AgentNetworkRecord, AgentPosition, AgentTaskRecord } from '../../proto/index.ts';
import type { Log } from '../../shared/log.ts';
import type { Io } from '../io.ts';
import { RecordFile } from './record-file.ts';

/**
 * What the agent keeps: plain files, so that tasks and network go on without managers and after a
 * restart. `tasks/ID/record` a task, `position`, `network`, `managers.json`.
 */
export class LocalStore {
  readonly position: RecordFile<AgentPosition>;
  readonly network: RecordFile<AgentNetworkRecord>;
  readonly #io: Io;
  readonly #log: Log;
  readonly #tasks: string;
  readonly #managersPath: string;
  #taskDirectoriesChanged = false;

  constructor(io: Io, stateDir: string, log: Log) {
    this.#io = io;
    this.#log = log;
    this.#tasks = join(stateDir, 'tasks');
    this.#managersPath = join(stateDir, 'managers.json');
    io.mkdir(this.#tasks);
    this.position = new RecordFile(io, AgentPosition, stateDir, 'position');
    this.network = new RecordFile(io, AgentNetworkRecord, stateDir, 'network');
  }
  loadTasks(): readonly AgentTaskRecord[] {
    const records: AgentTaskRecord[] = [];
    for (const id of this.#io.list(this.#tasks)) {
      const record = this.taskFile(id).read();
      if (record?.task?.id === id && record.status) {
        records.push(record);
      } else {
        // A power cut before the first fsync: nothing of it was started, managers send it again.
        this.#log.warn({ task: id }, 'task record is missing or damaged: removed');
        this.removeTask(id);
      }
    }
    return records;
  }
  taskFile(id: string): RecordFile<AgentTaskRecord> {
    return new RecordFile(this.#io, AgentTaskRecord, join(this.#tasks, id), 'record');
  }
  addTask(id: string): void {
    this.#io.mkdir(join(this.#tasks, id));
    this.#taskDirectoriesChanged = true;
  }
  /** Resolves when folders made by `addTask` survive a power cut; calls that come together share it. */
  async syncFolders(): Promise<void> {
    if (!this.#taskDirectoriesChanged) return;
    this.#taskDirectoriesChanged = false;
    await this.#io.fsync(this.#tasks);
  }
  removeTask(id: string): void {
    this.#io.removeTree(join(this.#tasks, id));
  }
  readManagers(): readonly string[] {
    try {
      const value: unknown = JSON.parse(
        this.#io.read(this.#managersPath)?.toString('utf8') ?? '[]',
      );
      return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
    } catch {
      return [];
    }
  }
  writeManagers(addresses: readonly string[]): void {
    this.#io.write(`${this.#managersPath}.tmp`, `${JSON.stringify(addresses)}\n`);
    this.#io.rename(`${this.#managersPath}.tmp`, this.#managersPath);
  }
}
