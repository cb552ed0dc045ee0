import { CaService } from '../../proto/index.ts';
import { Backoff } from '../backoff.ts';
import type { Clock, Timer } from '../clock.ts';
import { messageOf, SwarmError } from '../errors.ts';
import type { Component } from '../lifecycle.ts';
import type { Log } from '../log.ts';
import type { Random } from '../random.ts';
import { dial } from '../rpc/client.ts';
import { makeCsr, renewalBytes, signWith } from '../tls/csr.ts';
import { type Identity, makeIdentity } from '../tls/identity.ts';
import type { LiveIdentity } from '../tls/live-identity.ts';

/**
 * Asks the managers, one after the other, for a new certificate for the same key: an expired one is
 * enough, since the key's signature counts. Throws the last manager's error.
 */
export async function renewIdentity(
  live: LiveIdentity,
  managers: readonly string[],
): Promise<Identity> {
  let last: unknown = new SwarmError('UNREACHABLE', 'No address of a manager is known.');
  for (const address of managers) {
    try {
      return await renewAt(live, address);
    } catch (error) {
      last = error;
    }
  }
  throw last;
}

async function renewAt(live: LiveIdentity, address: string): Promise<Identity> {
  const { subject, keyPem } = live.current;
  const client = dial(address, { tls: live });
  try {
    const nodeId = subject.nodeId;
    const { nonce } = await client.unary(CaService.renewalNonce, { nodeId });
    const csr = makeCsr(keyPem);
    const signature = signWith(keyPem, renewalBytes(nonce, csr));
    const request = { nodeId, csr, nonce, signature };
    const answer = await client.unary(CaService.renewCertificate, request);
    const certificatePem = Buffer.from(answer.certificate).toString('utf8');
    const rootPem = Buffer.from(answer.rootCertificate).toString('utf8');
    return makeIdentity(certificatePem, keyPem, rootPem);
  } finally {
    client.close();
  }
}

export interface RenewalDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly live: LiveIdentity;
  /** Gets a new certificate; `renewIdentity` on workers, the own CA on managers. */
  renew(): Promise<Identity>;
  /** Puts it on disk; called before it is used. */
  save(identity: Identity): Promise<void>;
}

/** Timers run at most this long: longer ones overflow, and a machine may sleep meanwhile. */
const LOOK_EVERY_MS = 3_600_000;
const RETRY_MIN_MS = 500;
const RETRY_MAX_MS = 300_000;

/** Renews the certificate at 50-80 % of its life, again and again; `now` does it at once. */
export class Renewal implements Component {
  readonly name = 'certificate renewal';
  readonly #deps: RenewalDeps;
  #backoff: Backoff;
  #timer: Timer | undefined;
  #dueWallMs = 0;
  #running: Promise<void> | undefined;
  #again = false;
  #stopped = true;

  constructor(deps: RenewalDeps) {
    this.#deps = deps;
    this.#backoff = new Backoff(deps.random, RETRY_MIN_MS, RETRY_MAX_MS);
  }

  start(): void {
    this.#stopped = false;
    this.#plan();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    await this.#running;
  }

  /** Renews now: the leader said that the role changed. Resolves when that was tried. */
  async now(): Promise<void> {
    if (this.#running === undefined) this.#attempt();
    else {
      // The try under way may have asked before the role changed.
      this.#again = true;
      await this.#running;
    }
    await this.#running;
  }

  /** Uses a certificate that was got in another way. Rejects when it cannot be saved. */
  async take(identity: Identity): Promise<void> {
    await this.#use(identity);
    if (this.#running === undefined) this.#plan();
  }

  #plan(): void {
    const { live, random, clock } = this.#deps;
    const { notBeforeWallMs, notAfterWallMs } = live.current;
    const share = 0.5 + (0.3 * random.below(1_000)) / 1_000;
    const dueMs = notBeforeWallMs + share * (notAfterWallMs - notBeforeWallMs);
    this.#dueWallMs = Math.max(clock.wallMs(), dueMs);
    // A short life leaves little time for retries: waits between them are a small part of it.
    const retryMaxMs = Math.min(RETRY_MAX_MS, (notAfterWallMs - notBeforeWallMs) / 50);
    this.#backoff = new Backoff(random, RETRY_MIN_MS, Math.max(RETRY_MIN_MS, retryMaxMs));
    this.#wait();
  }

  #wait(): void {
    if (this.#stopped) return;
    const leftMs = this.#dueWallMs - this.#deps.clock.wallMs();
    this.#timer?.cancel();
    this.#timer = this.#deps.clock.setTimer(Math.max(0, Math.min(leftMs, LOOK_EVERY_MS)), () => {
      if (this.#deps.clock.wallMs() >= this.#dueWallMs) this.#attempt();
      else this.#wait();
    });
  }

  #attempt(): void {
    if (this.#running !== undefined || this.#stopped) return;
    this.#running = this.#renew().then((waitMs) => {
      this.#running = undefined;
      if (this.#again) {
        this.#again = false;
        this.#attempt();
      } else if (waitMs === undefined) this.#plan();
      else {
        this.#dueWallMs = this.#deps.clock.wallMs() + waitMs;
        this.#wait();
      }
    });
  }

  /** Resolves with the time until the next try, or with nothing when it worked. */
  async #renew(): Promise<number | undefined> {
    try {
      await this.#use(await this.#deps.renew());
      return undefined;
    } catch (error) {
      const waitMs = this.#backoff.nextDelayMs();
      const reason = { error: messageOf(error), waitMs };
      this.#deps.log.warn(reason, 'the certificate could not be renewed yet');
      return waitMs;
    }
  }

  async #use(identity: Identity): Promise<void> {
    const { live, log, save } = this.#deps;
    await save(identity);
    live.set(identity);
    const until = new Date(identity.notAfterWallMs).toISOString();
    log.info({ serial: identity.serial, until }, 'certificate renewed');
  }
}
