import { AssignedTask, Assignments, RegistryAuth } from '../../proto/index.ts';
import type { TaskSecrets } from '../runtime.ts';

/**
 * What orders bring that must be on no disk: it is taken out of them here and kept in memory alone. A
 * task that had some keeps the mark, so that a daemon which starts anew asks for its orders again.
 */
export class SecretBook {
  readonly #logins = new Map<string, RegistryAuth>();

  /** The same orders without secrets. */
  takeOut(message: Assignments): Assignments {
    if (message.tasks.length === 0) return message;
    return Assignments.with(message, { tasks: message.tasks.map((task) => this.#strip(task)) });
  }
  of(taskId: string): TaskSecrets {
    return { registryAuth: () => this.#logins.get(taskId) };
  }
  forget(taskId: string): void {
    this.#logins.delete(taskId);
  }
  #strip(task: AssignedTask): AssignedTask {
    const login = task.registryAuth;
    if (login === null) {
      this.#logins.delete(task.id);
      return task;
    }
    this.#logins.set(task.id, login);
    return AssignedTask.with(task, { registryAuth: RegistryAuth.create({ host: login.host }) });
  }
}
