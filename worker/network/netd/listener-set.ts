import type { Socket as UdpSocket } from 'node:dgram';
import type { Server } from 'node:net';
import { type ListenFailure, Protocol } from '../../../proto/index.ts';
import type { Timer } from '../../../shared/clock.ts';
import type { Log } from '../../../shared/log.ts';
import { listenFailure, type OwnerLookup } from './listen-failure.ts';
import type { Listener } from './listener.ts';
import { type ListenerDeps, TcpListener } from './tcp-listener.ts';
import { type FlowAffinity, UdpListener } from './udp-listener.ts';
import { type ListenerWish, place, type Wish } from './wish.ts';

const RETRY_MS = 1_000;

export interface ListenerSetDeps extends Omit<ListenerDeps, 'onEnded'> {
  readonly log: Log;
  readonly owner: OwnerLookup;
  /** Called when every port was tried: with those that cannot be listened on. */
  readonly onSettled: (failures: readonly ListenFailure[]) => void;
  /** Called when the last connection of a listener that no row wants any more has ended. */
  readonly onIdle: () => void;
}

interface Slot {
  wish: ListenerWish;
  listener: Listener;
  state: 'opening' | 'listening' | 'failed';
  failure: ListenFailure | undefined;
}

/** Every socket that this netd listens on: follows the wish and tries again what failed. */
export class ListenerSet {
  readonly #deps: ListenerSetDeps;
  readonly #slots = new Map<string, Slot>();
  /** Closed, but with connections that go on. */
  readonly #leaving = new Set<Listener>();
  readonly #adopted = new Map<string, Listener>();
  #conflicts: readonly ListenFailure[] = [];
  #retry: Timer | undefined;
  #closed = false;

  constructor(deps: ListenerSetDeps) {
    this.#deps = deps;
  }
  /** Changes what differs; `onSettled` follows, at once or when new sockets were tried. */
  apply(wish: Wish): void {
    this.#conflicts = wish.conflicts;
    for (const [key, slot] of this.#slots) {
      if (wish.listeners.has(key)) continue;
      this.#slots.delete(key);
      this.#leave(slot.listener);
    }
    for (const [key, each] of wish.listeners) {
      const slot = this.#slots.get(key);
      if (slot === undefined) this.#open(key, each);
      else {
        slot.wish = each;
        slot.listener.update(each);
      }
    }
    this.settle();
  }
  /** Takes a socket of an older netd; one that the next wish does not name is closed. */
  adopt(key: string, handle: unknown, affinity: readonly FlowAffinity[]): void {
    if (key.startsWith('udp/')) {
      const listener = new UdpListener(this.#listenerDeps());
      listener.adopt(handle as UdpSocket, affinity);
      this.#adopted.set(key, listener);
    } else {
      const listener = new TcpListener(this.#listenerDeps());
      listener.adopt(handle as Server);
      this.#adopted.set(key, listener);
    }
  }
  /** Closes adopted sockets that nobody wanted. */
  dropUnusedAdopted(): void {
    for (const listener of this.#adopted.values()) listener.close();
    this.#adopted.clear();
  }
  /** What listens now, to be handed over. */
  listening(): readonly { readonly key: string; readonly listener: Listener }[] {
    return [...this.#slots]
      .filter(([, slot]) => slot.state === 'listening')
      .map(([key, slot]) => ({ key, listener: slot.listener }));
  }
  /** Open connections and flows of all listeners, those without a row included. */
  open(): number {
    let open = 0;
    for (const { listener } of this.#slots.values()) open += listener.open;
    for (const listener of this.#leaving) open += listener.open;
    return open;
  }
  /** Accepts nothing more. What is open goes on; `onIdle` follows each end. */
  close(): void {
    this.#closed = true;
    this.#retry?.cancel();
    for (const slot of this.#slots.values()) slot.listener.close();
  }
  /** Ends everything now. */
  destroy(): void {
    this.close();
    for (const slot of this.#slots.values()) slot.listener.destroy();
    for (const listener of this.#leaving) listener.destroy();
  }

  #leave(listener: Listener): void {
    this.#leaving.add(listener);
    listener.close();
    this.#forgetIdle();
  }
  #forgetIdle(): void {
    for (const listener of this.#leaving) if (listener.open === 0) this.#leaving.delete(listener);
  }
  #listenerDeps(): ListenerDeps {
    const { clock, random, counts } = this.#deps;
    const onEnded = (): void => {
      this.#forgetIdle();
      this.#deps.onIdle();
    };
    return { clock, random, counts, onEnded };
  }
  #open(key: string, wish: ListenerWish): void {
    const adopted = this.#adopted.get(key);
    this.#adopted.delete(key);
    const slot: Slot = {
      wish,
      listener: adopted ?? this.#listenerFor(wish),
      state: adopted ? 'listening' : 'opening',
      failure: undefined,
    };
    this.#slots.set(key, slot);
    slot.listener.update(wish);
    if (adopted === undefined) void this.#listen(key, slot);
  }
  #listenerFor(wish: ListenerWish): Listener {
    const deps = this.#listenerDeps();
    return wish.protocol === Protocol.UDP ? new UdpListener(deps) : new TcpListener(deps);
  }
  async #listen(key: string, slot: Slot): Promise<void> {
    const before = slot.failure;
    try {
      await slot.listener.listen(slot.wish.address, slot.wish.port);
      slot.state = 'listening';
      slot.failure = undefined;
    } catch (error) {
      slot.failure = await listenFailure(slot.wish, error, this.#deps.owner);
      slot.state = 'failed';
    }
    if (this.#closed || this.#slots.get(key) !== slot) {
      slot.listener.close();
      return;
    }
    this.#note(slot, before);
    this.settle();
  }
  #note(slot: Slot, before: ListenFailure | undefined): void {
    const service = slot.wish.serviceName;
    if (slot.failure === undefined)
      this.#deps.log.info({ service }, `listening on ${place(slot.wish)}`);
    else if (before?.reason !== slot.failure.reason)
      this.#deps.log.warn({ service }, slot.failure.reason);
  }
  /** `onSettled` follows, at once or when sockets that are being opened were tried. */
  settle(): void {
    const slots = [...this.#slots.values()];
    if (this.#closed || slots.some((slot) => slot.state === 'opening')) return;
    const failures = slots.flatMap((slot) => (slot.failure ? [slot.failure] : []));
    if (failures.length > 0 && this.#retry === undefined)
      this.#retry = this.#deps.clock.setTimer(RETRY_MS, () => this.#retryFailed());
    this.#deps.onSettled([...failures, ...this.#conflicts]);
  }
  #retryFailed(): void {
    this.#retry = undefined;
    for (const [key, slot] of this.#slots) {
      if (slot.state !== 'failed') continue;
      slot.state = 'opening';
      slot.listener = this.#listenerFor(slot.wish);
      slot.listener.update(slot.wish);
      void this.#listen(key, slot);
    }
  }
}
