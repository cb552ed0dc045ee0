import {
  NOTHING,
  type RegisterInput,
  type RegisterOutput,
} from '../../conformance/linearizability/models.ts';
import {
  isLinearizable,
  type Model,
  type Operation,
} from '../../conformance/linearizability/wgl.ts';

export type Input = (RegisterInput | { readonly kind: 'append'; readonly value: string }) & {
  readonly key: string;
};

/** An operation; open until its end is known. */
export interface Seen extends Operation<Input, RegisterOutput> {
  end: number;
  output: RegisterOutput | undefined;
}

/** Registers by key, with compare-and-set and append. */
const registers: Model<string, Input, RegisterOutput> = {
  initial: NOTHING,
  stateKey: (state) => state,
  isRead: ({ kind }, output) => kind === 'read' || (kind === 'cas' && output?.ok === false),
  partition: (input) => input.key,
  step(state, input, output) {
    if (input.kind === 'read')
      return output === undefined || output.value === state ? { state } : undefined;
    if (input.kind === 'write') return { state: input.value };
    if (input.kind === 'append') return { state: `${state} ${input.value}` };
    const fits = state === input.from;
    if (output !== undefined && output.ok !== fits) return undefined;
    return { state: fits ? input.to : state };
  },
};

const JUDGE_STEPS_MAX = 400_000;

/** Operations shown of a history that cannot be. */
const SHOWN = 8;

/**
 * What clients saw, in the order in which they saw it. A cluster that an operator recovers begins a
 * new history: what was answered shortly before may be lost, which is what recovering costs.
 */
export class Histories {
  readonly #all: Seen[][] = [[]];
  #stamp = 0;

  get era(): number {
    return this.#all.length;
  }
  stamp(): number {
    return ++this.#stamp;
  }
  begin(operation: Seen): void {
    this.#all.at(-1)!.push(operation);
  }
  /** It certainly did not take place. */
  drop(operation: Seen): void {
    const now = this.#all.at(-1)!;
    const at = now.indexOf(operation);
    if (at >= 0) now.splice(at, 1);
  }

  /** From now on, with what the registers hold. */
  newEra(values: ReadonlyMap<string, string>): void {
    const era: Seen[] = [];
    this.#all.push(era);
    for (const [key, value] of values) {
      const call = this.stamp();
      era.push({ call, end: this.stamp(), input: { kind: 'write', key, value }, output: {} });
    }
  }

  /** Undefined: too much was left open to tell. */
  judge(): boolean | undefined {
    const verdicts = this.#all.map((era) => isLinearizable(registers, era, JUDGE_STEPS_MAX));
    if (verdicts.includes(false)) return false;
    return verdicts.includes(undefined) ? undefined : true;
  }

  /** The last operations before a history stopped making sense: the shortest beginning that fails. */
  explain(): string {
    for (const [era, all] of this.#all.entries()) {
      const keys = new Set(all.map((operation) => operation.input.key));
      for (const key of keys) {
        const history = all.filter((operation) => operation.input.key === key);
        if (isLinearizable(registers, history, JUDGE_STEPS_MAX) === false)
          return `register ${key}, era ${era + 1}: ${describe(shortest(history))}`;
      }
    }
    return '';
  }
}

/** Cut off at a moment: what had not ended by then is open. */
function until(history: readonly Seen[], moment: number): Seen[] {
  return history.flatMap((operation) => {
    if (operation.call > moment) return [];
    const isOpen = operation.end > moment;
    return [
      isOpen ? { ...operation, end: Number.POSITIVE_INFINITY, output: undefined } : operation,
    ];
  });
}

function shortest(history: readonly Seen[]): Seen[] {
  const ends = history.map(({ end }) => end).filter(Number.isFinite);
  ends.sort((a, b) => a - b);
  let [low, high] = [0, ends.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    const holds = isLinearizable(registers, until(history, ends[middle]!), JUDGE_STEPS_MAX);
    if (holds === false) high = middle;
    else low = middle + 1;
  }
  return until(history, ends[low]!);
}

function describe(history: readonly Seen[]): string {
  const last = [...history].sort((a, b) => a.call - b.call).slice(-SHOWN);
  return last
    .map(({ call, end, input, output }) => {
      const { key: _, ...what } = input;
      return `[${call}..${end}] ${JSON.stringify(what)} -> ${JSON.stringify(output)}`;
    })
    .join('; ');
}
