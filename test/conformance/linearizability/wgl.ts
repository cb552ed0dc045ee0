/**
 * Is a history of client operations linearizable? The search of Wing and Gong with Lowe's
 * improvements: walk the list of calls and returns in time order, take any call that may come next
 * (lift it out of the list), undo the last one at a return that was not taken yet; positions seen
 * before, as a set of taken operations and a state, are not entered again.
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

/** `undefined`: given up after `stepsMax` positions of one object. */
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
  for (const object of objects.values()) {
    const found = searchObject(model, object, stepsMax);
    if (found !== true) return found;
  }
  return true;
}

function searchObject<State, In, Out>(
  model: Model<State, In, Out>,
  operations: readonly Operation<In, Out>[],
  stepsMax: number,
): boolean | undefined {
  const head = linked(operations);
  const taken = new Uint32Array(Math.ceil(operations.length / 32));
  const seen = new Set<string>();
  const path: { readonly node: Node; readonly state: State }[] = [];
  let state = model.initial;
  let steps = 0;
  let node = head.next;
  while (head.next !== undefined) {
    if (++steps > stepsMax) return undefined;
    if (node === undefined) return false;
    if (node.match === undefined) {
      // A return whose call was not taken: something before it must have been another way.
      const last = path.pop();
      if (last === undefined) return false;
      state = last.state;
      flip(taken, last.node.operation);
      unlift(last.node);
      node = last.node.next;
      continue;
    }
    const { input, output } = operations[node.operation]!;
    const after = model.step(state, input, output);
    if (after !== undefined) {
      flip(taken, node.operation);
      const position = `${taken.join()} ${model.stateKey(after.state)}`;
      if (!seen.has(position)) {
        seen.add(position);
        path.push({ node, state });
        state = after.state;
        lift(node);
        node = head.next;
        continue;
      }
      flip(taken, node.operation);
    }
    node = node.next;
  }
  return true;
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

function flip(set: Uint32Array, bit: number): void {
  set[bit >>> 5]! ^= 1 << (bit & 31);
}
