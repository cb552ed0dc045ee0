import { SwarmError } from '../../shared/errors.ts';

type Value = string | boolean | readonly string[] | undefined;

/** The flags that were typed, by long name without dashes; what was not typed is absent. */
export class Flags {
  readonly #values: ReadonlyMap<string, Value>;

  constructor(values: { readonly [name: string]: Value }) {
    this.#values = new Map(Object.entries(values).filter(([, value]) => value !== undefined));
  }
  /** A copy with some values replaced. */
  with(values: { readonly [name: string]: Value }): Flags {
    return new Flags({ ...Object.fromEntries(this.#values), ...values });
  }
  has(...names: readonly string[]): boolean {
    return names.some((name) => this.#values.has(name));
  }
  /** The first of `names` that was typed. */
  firstOf(names: Iterable<string>): string | undefined {
    for (const name of names) if (this.#values.has(name)) return name;
    return undefined;
  }
  text(name: string): string | undefined {
    const value = this.#values.get(name);
    return typeof value === 'string' ? value : undefined;
  }
  is(name: string): boolean {
    return this.#values.get(name) === true;
  }
  /** "--tty", "--tty=false": undefined when it was not typed. */
  boolean(name: string): boolean | undefined {
    const value = this.#values.get(name);
    return value === undefined ? undefined : value === true || value === 'true';
  }
  list(name: string): readonly string[] {
    const value = this.#values.get(name);
    return Array.isArray(value) ? value : [];
  }
  /** The value through `parse`, or `current` when it was not typed. */
  or<T>(name: string, current: T, parse: (flag: string, text: string) => T): T {
    const text = this.text(name);
    return text === undefined ? current : parse(`--${name}`, text);
  }
  /** What is added: `--env` of create and `--env-add` of update mean the same. */
  added(name: string): readonly string[] {
    return [...this.list(name), ...this.list(`${name}-add`)];
  }
  removed(name: string): readonly string[] {
    return this.list(`${name}-rm`);
  }
  changes(name: string): boolean {
    return this.has(name, `${name}-add`, `${name}-rm`);
  }
  /** Refuses flags that exclude each other. */
  exclusive(...names: readonly string[]): void {
    const given = names.filter((name) => this.#values.has(name));
    if (given.length > 1) {
      throw new SwarmError(
        'INVALID_ARGUMENT',
        `--${given[0]} and --${given[1]} exclude each other.`,
        { advice: 'Give one of them.' },
      );
    }
  }
}
