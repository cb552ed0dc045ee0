/**
 * Is a history of client operations linearizable? The search of Wing and Gong with Lowe's
 * improvements: walk the list of calls and returns in time order, take any call that may come next
 * (lift it out of the list), undo the last one at a return that was not taken yet; positions seen
 * before, as a set of taken operations and a state, are not entered again. A read that fits is taken at
 * once and for good: if there is an order in which it comes later, it may as well come here.
 */

/** One operation of a client. Moments are any numbers that order what happened. */
export interface Operation<In, Out> {
  readonly call: number;
  /** Infinity when nobody knows whether and when it took place. */
  readonly end: number;
  readonly input: In;
  /** Undefined when nothing was answered. */
  readonly output: Out | undefined;
}

export interface Model<State, In, Out> {
  readonly initial: State;
  /** The next state, or undefined when the output cannot be. */
  step(state: State, input: In, output: Out | undefined): { readonly state: State } | undefined;
  /** Equal for equal states. */
  stateKey(state: State): string;
  /** It changes no state, whatever that is: it may take place as soon as its output fits. */
  isRead(input: In, output: Out | undefined): boolean;
  /** Operations of different objects cannot disturb each other: each object is searched alone. */
  partition(input: In): string;
}

/** One event of the history; `match` is the return of a call. */
interface Node {
  readonly operation: number;
  readonly match: Node | undefined;
  previous: Node | undefined;
  next: Node | undefined;
}

/** So many positions of one object before the next has its turn; then twice as many. */
const FIRST_TURN = 1_000;

/**
 * `undefined`: given up after `stepsMax` positions of one object, and no other is wrong. The objects
 * take turns, so that one that is hard does not hide one that is wrong.
 */
export function isLinearizable<State, In, Out>(
  model: Model<State, In, Out>,
  operations: readonly Operation<In, Out>[],
  stepsMax = Number.POSITIVE_INFINITY,
): boolean | undefined {
  const objects = new Map<string, Operation<In, Out>[]>();
  for (const operation of operations) {
    const key = model.partition(operation.input);
    const known = objects.get(key);
    if (known === undefined) objects.set(key, [operation]);
    else known.push(operation);
  }
  let open = [...objects.values()].map((object) => new Search(model, object));
  let steps = 0;
  for (let turn = FIRST_TURN; open.length > 0; turn *= 2) {
    if (steps >= stepsMax) return undefined;
    const next = Math.min(turn, stepsMax - steps);
    const verdicts = open.map((search) => search.run(next));
    if (verdicts.includes(false)) return false;
    open = open.filter((_, at) => verdicts[at] === undefined);
    steps += next;
  }
  return true;
}

/** A set of taken operations, and the state behind them. */
interface Position {
  readonly taken: Uint32Array;
  readonly state: string;
}

/** An operation that was taken, and the state before it. */
interface Taken<State> {
  readonly node: Node;
  readonly state: State;
  readonly isRead: boolean;
}

/** The search for one order of the operations of one object. */
class Search<State, In, Out> {
  readonly #model: Model<State, In, Out>;
  readonly #operations: readonly Operation<In, Out>[];
  readonly #head: Node;
  readonly #taken: Uint32Array;
  /** Positions by a number that each taken operation changes. */
  readonly #seen = new Map<number, Position[]>();
  readonly #path: Taken<State>[] = [];
  #state: State;
  #node: Node | undefined;
  #low = 0;
  #high = 0;

  constructor(model: Model<State, In, Out>, operations: readonly Operation<In, Out>[]) {
    this.#model = model;
    this.#operations = operations;
    this.#head = linked(operations);
    this.#taken = new Uint32Array(Math.ceil(operations.length / 32));
    this.#state = model.initial;
    this.#takeReads();
    this.#node = this.#head.next;
  }

  /** Goes on for `steps` positions; undefined: not decided yet. */
  run(steps: number): boolean | undefined {
    while (this.#head.next !== undefined) {
      if (steps-- === 0) return undefined;
      const node = this.#node;
      if (node === undefined) return false;
      if (node.match !== undefined) {
        this.#node = this.#take(node) ? this.#head.next : node.next;
        continue;
      }
      // A return whose call was not taken: something before it must have been another way.
      const last = this.#undo();
      if (last === undefined) return false;
      this.#node = last.next;
    }
    return true;
  }

  /** Takes a call that may come next and leads to where the search has not been. */
  #take(node: Node): boolean {
    const { input, output } = this.#operations[node.operation]!;
    // One that fits is taken already.
    if (this.#model.isRead(input, output)) return false;
    const after = this.#model.step(this.#state, input, output);
    if (after === undefined) return false;
    this.#flip(node.operation);
    if (!this.#isNew(this.#model.stateKey(after.state))) {
      this.#flip(node.operation);
      return false;
    }
    this.#path.push({ node, state: this.#state, isRead: false });
    this.#state = after.state;
    lift(node);
    this.#takeReads();
    return true;
  }

  /** Takes every read that may come next and fits. */
  #takeReads(): void {
    const state = this.#state;
    let next = this.#head.next;
    while (next?.match !== undefined) {
      const node: Node = next;
      next = node.next;
      const { input, output } = this.#operations[node.operation]!;
      const fits = this.#model.isRead(input, output) && this.#model.step(state, input, output);
      if (!fits) continue;
      this.#flip(node.operation);
      this.#path.push({ node, state, isRead: true });
      // Its return is lifted with it.
      if (next === node.match) next = next?.next;
      lift(node);
    }
  }

  /** Undoes the last operation that is no read, and the reads behind it. */
  #undo(): Node | undefined {
    for (let last = this.#path.pop(); last !== undefined; last = this.#path.pop()) {
      this.#state = last.state;
      this.#flip(last.node.operation);
      unlift(last.node);
      if (!last.isRead) return last.node;
    }
    return undefined;
  }

  #isNew(state: string): boolean {
    const key = (this.#high & 0x1fffff) * 2 ** 32 + (this.#low >>> 0);
    const known = this.#seen.get(key);
    const position = { taken: this.#taken.slice(), state };
    if (known === undefined) {
      this.#seen.set(key, [position]);
      return true;
    }
    const isKnown = known.some((p) => p.state === state && isEqual(p.taken, position.taken));
    if (!isKnown) known.push(position);
    return !isKnown;
  }

  #flip(operation: number): void {
    this.#taken[operation >>> 5]! ^= 1 << (operation & 31);
    this.#low ^= mixed(operation + 1);
    this.#high ^= mixed(~operation);
  }
}

function isEqual(a: Uint32Array, b: Uint32Array): boolean {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** Spreads a number over 32 bits (the finalizer of MurmurHash3). */
function mixed(n: number): number {
  let h = Math.imul(n ^ (n >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

/** Calls and returns in time order behind an empty head; at the same moment calls come first. */
function linked<In, Out>(operations: readonly Operation<In, Out>[]): Node {
  const events: { readonly at: number; readonly order: number; readonly node: Node }[] = [];
  operations.forEach(({ call, end }, operation) => {
    const match: Node = { operation, match: undefined, previous: undefined, next: undefined };
    const node: Node = { operation, match, previous: undefined, next: undefined };
    events.push({ at: call, order: 0, node }, { at: end, order: 1, node: match });
  });
  // Infinities must not be subtracted from each other.
  events.sort((a, b) => (a.at === b.at ? a.order - b.order : a.at < b.at ? -1 : 1));
  const head: Node = { operation: -1, match: undefined, previous: undefined, next: undefined };
  let last = head;
  for (const { node } of events) {
    last.next = node;
    node.previous = last;
    last = node;
  }
  return head;
}

function lift(call: Node): void {
  cut(call);
  cut(call.match!);
}
function unlift(call: Node): void {
  join(call.match!);
  join(call);
}
function cut(node: Node): void {
  node.previous!.next = node.next;
  if (node.next) node.next.previous = node.previous;
}
function join(node: Node): void {
  node.previous!.next = node;
  if (node.next) node.next.previous = node;
}
