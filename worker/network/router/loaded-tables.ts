import { flat } from './diff.ts';
import { type Item, type Table, tableWords } from './items.ts';
import type { NodeNames } from './names.ts';
import { HOST, must, type Netcmd, namespace, type Place, script } from './netcmd.ts';
import { readTable, type TableState } from './observe.ts';
import type { Plan } from './plan.ts';
import { tableReplacement } from './render.ts';

export interface LoadedTablesDeps {
  readonly netcmd: Netcmd;
  readonly names: NodeNames;
}

/** A table that should be there, and its text without the elements of its sets. */
export interface WantedTable {
  readonly table: Table;
  readonly text: string;
}

interface LoadedTable extends WantedTable {
  /** As the kernel lists it. */
  readonly structure: string;
}

type Where = Table['place'];

const PLACES: readonly Where[] = ['router', 'host'];

/** The tables of nftables that were loaded, and what they looked like then. */
export class LoadedTables {
  readonly #netcmd: Netcmd;
  readonly #router: string;
  readonly #tables = new Map<string, LoadedTable>();

  constructor({ netcmd, names }: LoadedTablesDeps) {
    this.#netcmd = netcmd;
    this.#router = names.router;
  }
  /** All will be loaded again. */
  forget(): void {
    this.#tables.clear();
  }
  get names(): ReadonlySet<string> {
    return new Set(this.#tables.keys());
  }
  /**
   * Loads those that are missing, changed, or to be of another structure, each with what the plan puts
   * into it. Returns their names in nftables.
   */
  async load(wanted: readonly WantedTable[], plan: Plan): Promise<ReadonlySet<string>> {
    const reloaded = new Set<string>();
    for (const where of PLACES) {
      const missing = wanted.filter(
        ({ table, text }) => table.place === where && this.#tables.get(keyOf(table))?.text !== text,
      );
      if (missing.length === 0) continue;
      const items = [...flat(plan.parts).values()];
      const input = missing.map(({ table, text }) => tableReplacement(table, text, items)).join('');
      await must(this.#netcmd, {
        place: this.#place(where),
        program: 'nft',
        args: ['-f', '-'],
        input,
      });
      for (const { table, text } of missing) {
        this.#tables.set(keyOf(table), { table, text, structure: '' });
        reloaded.add(tableWords(table));
      }
      await this.learnStructures(where);
    }
    return reloaded;
  }
  /** What is in those that are as they were loaded; the others will be loaded again. */
  async observe(): Promise<readonly Item[]> {
    const items: Item[] = [];
    for (const where of PLACES) {
      const states = await this.#list(where);
      for (const [key, { structure }] of this.#in(where)) {
        const state = states.get(key);
        if (state?.structure === structure) items.push(...state.items);
        else this.#tables.delete(key);
      }
    }
    return items;
  }
  /** They are now as they should be. */
  async learnStructures(where: Where): Promise<void> {
    for (const [key, { structure }] of await this.#list(where))
      this.#tables.set(key, { ...this.#tables.get(key)!, structure });
  }

  #in(where: Where): readonly (readonly [string, LoadedTable])[] {
    return [...this.#tables].filter(([, { table }]) => table.place === where);
  }
  #place(where: Where): Place {
    return where === 'router' ? namespace(this.#router) : HOST;
  }
  /** What the kernel has of the tables that were loaded; one that is missing is not in it. */
  async #list(where: Where): Promise<ReadonlyMap<string, TableState>> {
    const tables = this.#in(where).map(([, { table }]) => table);
    if (tables.length === 0) return new Map();
    const input = tables
      .map((table) => `nft -j -n list table ${tableWords(table)} 2>/dev/null; echo`)
      .join('\n');
    const output = await must(this.#netcmd, script(this.#place(where), input));
    const states = new Map<string, TableState>();
    for (const line of output.split('\n').filter((each) => each.trim() !== '')) {
      const table = tables.find((each) => isListing(line, each));
      if (table !== undefined) states.set(keyOf(table), readTable(line, table));
    }
    return states;
  }
}

function keyOf(table: Table): string {
  return `${table.place} ${tableWords(table)}`;
}

/** The table stands before everything that is in it. */
function isListing(line: string, { family, name }: Table): boolean {
  const words = `"table": {"family": "${family === 6 ? 'ip6' : 'ip'}", "name": "${name}"`;
  return line.slice(0, 400).includes(words);
}
