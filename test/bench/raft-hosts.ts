import { Lan, Machine } from '../support/machine.ts';
import { missingPrograms } from '../support/programs.ts';

const PORT = 2377;

/** Everything that comes from or goes to a host that is cut off is dropped. */
const RULES = [
  'nft add table inet cut',
  "nft 'add chain inet cut in { type filter hook input priority 0; }'",
  "nft 'add chain inet cut out { type filter hook output priority 0; }'",
].join(' && ');

/** Where a member process runs. */
export interface MemberHost {
  /** host:port for its raft traffic. */
  readonly address: string;
  /** Process id whose network namespace is the host's. */
  readonly pid: number;
}

/** Hosts for members: network namespaces on one bridge, whose lines can really be cut. Root only. */
export class MemberHosts {
  readonly #lan: Lan;
  readonly #machines: Machine[] = [];

  private constructor(lan: Lan) {
    this.#lan = lan;
  }

  /** What is missing for that; empty: nothing. */
  static missing(): string {
    const user = process.getuid?.() === 0 ? [] : ['root'];
    return [...user, ...missingPrograms(['ip', 'nft', 'nsenter', 'unshare'])].join(', ');
  }

  static async up(count: number): Promise<MemberHosts> {
    const hosts = new MemberHosts(await Lan.make());
    try {
      for (let n = 1; n <= count; n++) {
        const machine = await Machine.make({ bridge: hosts.#lan, address: `10.0.9.${n}` });
        hosts.#machines.push(machine);
        await machine.must(RULES);
      }
    } catch (error) {
      await hosts.down();
      throw error;
    }
    return hosts;
  }

  /** The host of the member with this raft id. */
  of(raftId: number): MemberHost {
    const { address, pid } = this.#machines[raftId - 1]!;
    return { address: `${address}:${PORT}`, pid };
  }
  /** From now on no packet comes to it or leaves it. */
  async cut(raftId: number): Promise<void> {
    const eth0 = 'nft add rule inet cut in iifname eth0 drop';
    await this.#machines[raftId - 1]!.must(`${eth0} && ${eth0.replace('in iif', 'out oif')}`);
  }
  async heal(raftId: number): Promise<void> {
    await this.#machines[raftId - 1]!.must(
      'nft flush chain inet cut in; nft flush chain inet cut out',
    );
  }

  async down(): Promise<void> {
    for (const machine of this.#machines) await machine.end();
    await this.#lan.end();
  }
}
