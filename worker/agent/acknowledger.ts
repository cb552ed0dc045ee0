/**
 * Says up to which index this node's load balancing is built. An order that changes no row is in
 * effect as soon as everything before it is.
 */
export class Acknowledger {
  readonly #send: (index: number) => void;
  #wanted = 0;
  #pending = 0;
  #applied = 0;
  #told = 0;

  constructor(send: (index: number) => void) {
    this.#send = send;
  }
  /** Rows of this index were handed to the network. */
  pending(index: number): void {
    this.#wanted = Math.max(this.#wanted, index);
    this.#pending = Math.max(this.#pending, index);
  }
  /** The stream has come to this index without a change of rows. */
  passed(index: number): void {
    this.#wanted = Math.max(this.#wanted, index);
    this.#tell();
  }
  /** The network says that the rows of this index are in effect. */
  applied(index: number): void {
    this.#applied = Math.max(this.#applied, index);
    this.#tell();
  }
  /** A new leader, or one that forgot, is told again. */
  tellAgain(): void {
    this.#told = 0;
    this.#tell();
  }
  #tell(): void {
    const index = this.#applied >= this.#pending ? this.#wanted : this.#applied;
    if (index <= this.#told) return;
    this.#told = index;
    this.#send(index);
  }
}
