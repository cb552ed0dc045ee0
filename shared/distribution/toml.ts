/**
 * The part of TOML that registry configurations are written in: comments, tables, dotted and quoted
 * keys, strings of one line, whole numbers, booleans, arrays over many lines.
 */
export type TomlValue = string | number | boolean | readonly TomlValue[] | TomlTable;
export interface TomlTable {
  readonly [key: string]: TomlValue;
}

/** Throws an Error that names the line. Keys keep their order. */
export function parseToml(text: string): TomlTable {
  return new Parser(text).document();
}

type Open = { [key: string]: TomlValue };

class Parser {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }
  document(): TomlTable {
    const root = table();
    let current = root;
    for (;;) {
      this.#skip(/[\s]|#[^\n]*/y);
      if (this.#at >= this.#text.length) return root;
      if (this.#take('[[')) throw this.#wrong('an array of tables is not understood');
      if (this.#take('[')) {
        current = this.#enter(root, this.#path());
        this.#need(']');
      } else {
        const path = this.#path();
        this.#need('=');
        const last = path.pop()!;
        const place = this.#enter(current, path);
        if (Object.hasOwn(place, last)) throw this.#wrong(`${last} is given twice`);
        place[last] = this.#value();
      }
      this.#endOfLine();
    }
  }
  #enter(from: Open, path: readonly string[]): Open {
    let at = from;
    for (const key of path) {
      const next = at[key] ?? table();
      if (typeof next !== 'object' || Array.isArray(next)) throw this.#wrong(`${key} is no table`);
      at[key] = next;
      at = next as Open;
    }
    return at;
  }
  #path(): string[] {
    const keys: string[] = [];
    do {
      this.#blank();
      const bare = this.#match(/[A-Za-z0-9_-]+/y);
      keys.push(bare ?? this.#string() ?? '');
      if (bare === undefined && keys.at(-1) === '') throw this.#wrong('a key is missing');
      this.#blank();
    } while (this.#take('.'));
    return keys;
  }
  #value(): TomlValue {
    this.#blank();
    const text = this.#string();
    if (text !== undefined) return text;
    if (this.#take('[')) return this.#array();
    const word = this.#match(/[A-Za-z0-9_+-]+/y) ?? '';
    if (word === 'true' || word === 'false') return word === 'true';
    if (/^[+-]?\d[\d_]*$/.test(word)) return Number(word.replaceAll('_', ''));
    throw this.#wrong(`"${word}" is no value`);
  }
  #array(): readonly TomlValue[] {
    const items: TomlValue[] = [];
    for (;;) {
      this.#skip(/[\s]|#[^\n]*/y);
      if (this.#take(']')) return items;
      items.push(this.#value());
      this.#skip(/[\s]|#[^\n]*/y);
      if (this.#take(']')) return items;
      this.#need(',');
    }
  }
  /** Undefined when there is none. */
  #string(): string | undefined {
    const literal = this.#match(/'[^'\n]*'/y);
    if (literal !== undefined) return literal.slice(1, -1);
    const basic = this.#match(/"(?:[^"\\\n]|\\.)*"/y);
    if (basic === undefined) return undefined;
    return basic.slice(1, -1).replaceAll(/\\(u[0-9a-fA-F]{4}|.)/g, (_, code: string) => {
      if (code.length > 1) return String.fromCharCode(Number.parseInt(code.slice(1), 16));
      const known = ESCAPES[code];
      if (known === undefined) throw this.#wrong(`\\${code} means nothing`);
      return known;
    });
  }
  #endOfLine(): void {
    this.#blank();
    this.#match(/#[^\n]*/y);
    if (this.#at < this.#text.length && this.#match(/\r?\n/y) === undefined)
      throw this.#wrong('more stands on the line than was expected');
  }
  #blank(): void {
    this.#match(/[ \t]+/y);
  }
  #skip(what: RegExp): void {
    while (this.#match(what) !== undefined);
  }
  #take(text: string): boolean {
    if (!this.#text.startsWith(text, this.#at)) return false;
    this.#at += text.length;
    return true;
  }
  #need(text: string): void {
    this.#blank();
    if (!this.#take(text)) throw this.#wrong(`${text} is missing`);
  }
  #match(what: RegExp): string | undefined {
    what.lastIndex = this.#at;
    const found = what.exec(this.#text)?.[0];
    this.#at += found?.length ?? 0;
    return found === '' ? undefined : found;
  }
  #wrong(why: string): Error {
    const line = this.#text.slice(0, this.#at).split('\n').length;
    return new Error(`line ${line}: ${why}`);
  }
}

const ESCAPES: { readonly [letter: string]: string } = {
  '"': '"',
  '\\': '\\',
  n: '\n',
  t: '\t',
  r: '\r',
  b: '\b',
  f: '\f',
};

/** Without a prototype: a key of any name is only a key. */
function table(): Open {
  return Object.create(null) as Open;
}
