/** What starts and stops as a whole. `stop` is safe to call twice and after a failed start. */
export interface Component {
  readonly name: string;
  start(): void | Promise<void>;
  stop(): void | Promise<void>;
}
