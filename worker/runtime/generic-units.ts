import { join } from 'node:path';
import type { GenericOffer, GenericUnit } from '../../shared/generic-resources.ts';
import type { Io } from '../io.ts';
import { RuntimeError } from '../runtime.ts';

/** What one task has of this node's generic resources. */
export interface HeldUnits {
  /** Devices that its container gets with them. */
  readonly devices: readonly string[];
  /** DOCKER_RESOURCE_KIND=NAME,NAME for kinds with names, =COUNT for others. */
  readonly env: readonly string[];
}

/**
 * Which task has which unit: one small file a unit that is taken, so that none is ever given twice,
 * wherever the daemon is killed. The scheduler counts; which ones they are is this node's alone.
 */
export class GenericUnits {
  readonly #io: Io;
  readonly #directory: string;
  readonly #offers: ReadonlyMap<string, GenericOffer>;

  constructor(io: Io, directory: string, offers: readonly GenericOffer[]) {
    this.#io = io;
    this.#directory = directory;
    this.#offers = new Map(offers.map((offer) => [offer.kind, offer]));
  }
  /**
   * Again after a restart it gives the same. Throws RuntimeError RESOURCE, temporary, while tasks that
   * are just ending still have too many.
   */
  take(taskId: string, wanted: { readonly [kind: string]: number }): HeldUnits {
    const devices: string[] = [];
    const env: string[] = [];
    for (const [kind, count] of Object.entries(wanted)) {
      if (count === 0) continue;
      const offer = this.#offers.get(kind);
      if (offer === undefined || offer.count < count)
        throw new RuntimeError('RESOURCE', `this node has not ${count} of ${kind} any more`, true);
      const units = offer.units.length === 0 ? [] : this.#takeOf(taskId, offer, count);
      devices.push(...units.flatMap((unit) => unit.devices));
      const value = units.length === 0 ? String(count) : units.map(({ name }) => name).join(',');
      env.push(`DOCKER_RESOURCE_${kind.toUpperCase().replaceAll(/\W/g, '_')}=${value}`);
    }
    return { devices: [...new Set(devices)], env };
  }
  release(taskId: string): void {
    for (const path of this.#taken()) if (this.#holder(path) === taskId) this.#io.unlink(path);
  }
  /** What belongs to tasks that are not `known` is free again. */
  keepOnly(known: ReadonlySet<string>): void {
    for (const path of this.#taken()) {
      const holder = this.#holder(path);
      if (holder === undefined || !known.has(holder)) this.#io.unlink(path);
    }
  }
  #takeOf(taskId: string, offer: GenericOffer, count: number): readonly GenericUnit[] {
    const own = offer.units.filter((unit) => this.#holder(this.#path(offer, unit)) === taskId);
    const got = own.slice(0, count);
    for (const unit of offer.units) {
      if (got.length >= count) break;
      if (got.includes(unit)) continue;
      this.#io.mkdir(join(this.#directory, offer.kind));
      if (this.#io.create(this.#path(offer, unit), taskId)) got.push(unit);
    }
    if (got.length < count) {
      // It keeps none while it waits: two that wait for each other's would wait for ever.
      for (const unit of got) this.#io.unlink(this.#path(offer, unit));
      const text = `${count} of ${offer.kind} are not free yet on this node`;
      throw new RuntimeError('RESOURCE', text, true);
    }
    return got;
  }
  #taken(): readonly string[] {
    return this.#io
      .list(this.#directory)
      .flatMap((kind) =>
        this.#io.list(join(this.#directory, kind)).map((name) => join(this.#directory, kind, name)),
      );
  }
  #path({ kind }: GenericOffer, { name }: GenericUnit): string {
    return join(this.#directory, kind, encodeURIComponent(name));
  }
  #holder(path: string): string | undefined {
    return this.#io.read(path)?.toString('utf8');
  }
}
