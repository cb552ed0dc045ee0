import { readFileSync, statSync } from 'node:fs';
import { isIP } from 'node:net';
import type { Clock } from '../../../shared/clock.ts';

/** What the host's own programs ask where its file names nobody. */
const OWN = ['127.0.0.1'];
/** Whoever changes the file waits no longer for it to count. */
const LOOK_MS = 1_000;
const RESOLVERS_MAX = 3;

/** The resolvers of this host, loopback ones included: they are asked from the host's own network. */
export class HostResolvers {
  readonly #clock: Clock;
  readonly #path: string;
  #servers: readonly string[] = OWN;
  #lookedAtMs = Number.NEGATIVE_INFINITY;
  #changed = '';

  constructor(clock: Clock, path = '/etc/resolv.conf') {
    this.#clock = clock;
    this.#path = path;
  }
  list(): readonly string[] {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - this.#lookedAtMs < LOOK_MS) return this.#servers;
    this.#lookedAtMs = nowMs;
    const status = statSync(this.#path, { throwIfNoEntry: false });
    const changed = `${status?.ino} ${status?.mtimeMs} ${status?.size}`;
    if (changed === this.#changed) return this.#servers;
    this.#changed = changed;
    try {
      this.#servers = resolversIn(readFileSync(this.#path, 'utf8'));
    } catch {
      this.#servers = OWN;
    }
    return this.#servers;
  }
}

export function resolversIn(text: string): readonly string[] {
  const servers = text.split('\n').flatMap((line) => {
    const [key, address = ''] = line.trim().split(/\s+/);
    return key === 'nameserver' && isIP(address) !== 0 ? [address] : [];
  });
  return servers.length > 0 ? servers.slice(0, RESOLVERS_MAX) : OWN;
}
