import type { RaftStatus } from '../proto/index.ts';
import type { SwarmError } from '../shared/errors.ts';
import type { Client } from '../shared/rpc/rpc.ts';
import { noQuorum } from './control/no-quorum.ts';
import type { RaftDriver } from './raft/index.ts';

export interface LeaderClientDeps {
  dial(address: string): Client;
  /** The members with their names. */
  status(): RaftStatus;
}

/** A connection to whoever leads, kept as long as that one does. */
export class LeaderClient {
  readonly #driver: RaftDriver;
  readonly #deps: LeaderClientDeps;
  #client: Client | undefined;

  constructor(driver: RaftDriver, deps: LeaderClientDeps) {
    this.#driver = driver;
    this.#deps = deps;
  }

  /** Undefined while no leader is known, and on the leader itself. */
  get(): Client | undefined {
    const leader = this.#driver.leader();
    const address = leader?.address ?? '';
    if (address === '' || leader?.raftId === this.#driver.identity.raftId) return undefined;
    if (this.#client?.address !== address) {
      this.#client?.close();
      this.#client = this.#deps.dial(address);
    }
    return this.#client;
  }

  /** Why a write cannot be done now: which managers do not answer. */
  noLeader(): SwarmError {
    return noQuorum(this.#deps.status());
  }

  close(): void {
    this.#client?.close();
    this.#client = undefined;
  }
}
