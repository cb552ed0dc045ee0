import type { Subnet } from '../../../proto/index.ts';
import { assert } from '../../../shared/assert.ts';
import { contains, type Prefix, parseIpv4, parsePrefix } from '../../../shared/prefix.ts';
import { Bitmap } from './bitmap.ts';

/** The IPv4 addresses of one subnet of a network: which are given, and which may be. */
export class AddressRange {
  readonly cidr: string;
  readonly prefix: Prefix;
  readonly #base: number;
  readonly #size: number;
  /** Offsets that are given: `#first` up to `#end`, which is not included. */
  readonly #first: number;
  readonly #end: number;
  readonly #gateway: number;
  readonly #taken: Bitmap;
  /** Addresses that are taken once more than their bit says: a holder came before another went. */
  readonly #again = new Map<number, number>();
  #used = 0;

  constructor(subnet: Subnet) {
    const prefix = parsePrefix(subnet.cidr);
    assert(prefix?.family === 4, `no IPv4 subnet: ${subnet.cidr}`);
    this.cidr = subnet.cidr;
    this.prefix = prefix;
    this.#base = Number(prefix.base);
    this.#size = 2 ** (32 - prefix.length);
    this.#gateway = (parseIpv4(subnet.gateway) ?? this.#base + 1) - this.#base;
    this.#taken = new Bitmap(this.#size);
    // The first and the last address mean the network and everybody on it.
    const range = subnet.range === '' ? undefined : parsePrefix(subnet.range);
    const inner = range !== undefined && contains(prefix, range) ? range : prefix;
    const first = Number(inner.base) - this.#base;
    this.#first = Math.max(1, first);
    this.#end = Math.min(this.#size - 1, first + 2 ** (32 - inner.length));
    this.#taken.add(this.#gateway);
  }

  /** Addresses that can be given in all. */
  get capacity(): number {
    const gateway = this.#gateway >= this.#first && this.#gateway < this.#end ? 1 : 0;
    return Math.max(0, this.#end - this.#first - gateway);
  }
  get used(): number {
    return this.#used;
  }
  has(address: number): boolean {
    return address >= this.#base && address < this.#base + this.#size;
  }
  take(address: number): void {
    const at = address - this.#base;
    if (this.#taken.has(at)) {
      this.#again.set(at, (this.#again.get(at) ?? 0) + 1);
      return;
    }
    this.#taken.add(at);
    this.#used++;
  }
  release(address: number): void {
    const at = address - this.#base;
    const again = this.#again.get(at) ?? 0;
    if (again > 1) this.#again.set(at, again - 1);
    else if (again === 1) this.#again.delete(at);
    else if (this.#taken.has(at)) {
      this.#taken.delete(at);
      this.#used--;
    }
  }
  /** The first free address after `address`, not turning round; undefined: none. */
  next(address: number): number | undefined {
    const from = Math.max(this.#first, address + 1 - this.#base);
    const at = this.#taken.firstClear(from, this.#end);
    return at < 0 ? undefined : this.#base + at;
  }
  /** For comparisons: what is taken, and what more than once. */
  describe(): string {
    const again = [...this.#again].map(([at, times]) => `${at}+${times}`);
    return `${this.cidr}: ${[...this.#taken.all()].join(' ')} ${again.join(' ')}`.trimEnd();
  }
}
