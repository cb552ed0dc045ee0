/** What starts and stops as a whole. `stop` is safe to call twice and after a failed start. */
export interface Component {
  readonly name: string;
  start(): void | Promise<void>;
  stop(): void | Promise<void>;
}

/** Starts components in order; stops them in reverse order, all of them, whatever one throws. */
export class ComponentList {
  readonly #components: readonly Component[];
  readonly #started: Component[] = [];

  constructor(components: readonly Component[]) {
    this.#components = components;
  }
  async start(): Promise<void> {
    for (const component of this.#components) {
      this.#started.push(component);
      await component.start();
    }
  }
  async stop(): Promise<void> {
    const errors: unknown[] = [];
    for (let component = this.#started.pop(); component; component = this.#started.pop()) {
      try {
        await component.stop();
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw errors[0];
  }
}
