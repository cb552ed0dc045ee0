import assert from 'node:assert/strict';
import type { Random } from '../../../shared/random.ts';
import { dial } from '../../../shared/rpc/client.ts';
import { until } from '../swarm.ts';
import type { Fault } from './faults.ts';
import type { ManagerHosts } from './hosts.ts';
import { Load } from './load.ts';
import { nodeRegister, type Register, serviceRegister } from './registers.ts';
import { whyNotLinearizable } from './verdict.ts';

/** How many clients work at the same time, and on how many new services. */
const CLIENTS = 48;
const SERVICES = 28;

/**
 * Clients at work on registers that nobody has written before, and faults one after the other, each
 * healed before the next.
 */
export class Trial {
  readonly cluster: ManagerHosts;
  readonly load: Load;
  readonly #registers: readonly Register[];

  private constructor(
    name: string,
    cluster: ManagerHosts,
    registers: readonly Register[],
    random: Random,
  ) {
    this.cluster = cluster;
    this.#registers = registers;
    this.load = new Load(name, cluster, registers, random);
  }

  /** `name`: of the services that it makes; labels of nodes are used by the first trial alone. */
  static async begin(cluster: ManagerHosts, name: string, random: Random): Promise<Trial> {
    const registers = await makeServices(cluster, name);
    if (name === 'first') registers.push(...cluster.hosts.map((host) => nodeRegister(host.name)));
    const trial = new Trial(name, cluster, registers, random);
    trial.load.start(CLIENTS);
    await trial.load.progress(100);
    return trial;
  }

  /** Resolves when all managers are there again and clients get on. */
  async run(fault: Fault): Promise<void> {
    try {
      await fault.run(this.cluster, this.load);
    } finally {
      await this.cluster.heal();
      await this.cluster.revive();
    }
    await this.cluster.whole();
    await this.load.progress(100);
  }

  /**
   * Ends the clients, at best when so many operations are recorded. Rejects unless one order explains
   * all that they saw and nothing that was refused was seen, or when they got less done.
   */
  async end(operations = 0): Promise<void> {
    const { load } = this;
    const enough = await until(
      `${operations} recorded operations`,
      () => load.recorded >= operations || undefined,
      180_000,
    ).catch(() => false);
    await load.stop();
    assert.deepEqual(load.seenThoughRefused(), {}, 'seen although it was said to be not done');
    assert.equal(whyNotLinearizable(load.history), '');
    assert.ok(enough, `only ${load.recorded} of ${operations} operations got done`);
  }

  /** Throws unless every manager has the same. */
  async compare(): Promise<void> {
    const states = await Promise.all(
      this.cluster.hosts.map(async (host) => {
        const client = dial(host.socket);
        try {
          return await Promise.all(this.#registers.map((register) => register.read(client)));
        } finally {
          client.close();
        }
      }),
    );
    for (const state of states) assert.deepEqual(state, states[0]);
  }
}

async function makeServices(cluster: ManagerHosts, name: string): Promise<Register[]> {
  const client = dial(cluster.hosts[0]!.socket);
  try {
    const made: Register[] = [];
    for (let n = 0; n < SERVICES; n++) made.push(await serviceRegister(client, `${name}-${n}`));
    return made;
  } finally {
    client.close();
  }
}
