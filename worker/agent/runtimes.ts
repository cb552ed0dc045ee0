import type { AssignedTask, TaskUsage } from '../../proto/index.ts';
import type { Runtime, RuntimeVolumes, TaskController, TaskSecrets } from '../runtime.ts';

/** The runtimes of a node as one: each task has the one that its spec asks for. */
export class Runtimes {
  readonly #all: readonly Runtime[];
  #features: { readonly [name: string]: string } = {};

  constructor(all: readonly Runtime[]) {
    this.#all = all;
  }
  get names(): readonly string[] {
    return this.#all.map((runtime) => runtime.name);
  }
  /** What they can do on this machine, all together; empty before `open`. */
  get features(): { readonly [name: string]: string } {
    return this.#features;
  }
  /** Undefined: no runtime of this node has any. */
  get volumes(): RuntimeVolumes | undefined {
    return this.#all.find((runtime) => runtime.volumes !== undefined)?.volumes;
  }
  /** Opens them and returns the ids of the tasks that they hold. */
  async open(): Promise<ReadonlySet<string>> {
    const held = new Set<string>();
    for (const runtime of this.#all) {
      await runtime.open();
      const { features } = await runtime.probe();
      this.#features = { ...this.#features, ...features };
      for (const task of await runtime.list()) held.add(task.taskId);
    }
    return held;
  }
  /** Stops no task. */
  async close(): Promise<void> {
    await Promise.all(this.#all.map((runtime) => runtime.close()));
  }
  /** Undefined: this node has no runtime for such a task. */
  controller(task: AssignedTask, secrets: TaskSecrets): TaskController | undefined {
    return this.#of(task)?.controller(task, secrets);
  }
  /** What these tasks use right now; those that do not run are left out. */
  async usage(tasks: readonly AssignedTask[]): Promise<readonly TaskUsage[]> {
    const parts = this.#all.map((runtime) =>
      runtime.usage(tasks.filter((task) => this.#of(task) === runtime)),
    );
    return (await Promise.all(parts)).flat();
  }
  #of(task: AssignedTask): Runtime | undefined {
    const isContainer = task.spec?.container !== null && task.spec?.container !== undefined;
    return this.#all.find(({ name }) => (isContainer ? name !== 'process' : name !== 'containerd'));
  }
}
