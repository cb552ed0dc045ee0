import { goneEndpoints, type Items, leavingBackends } from './diff.ts';
import {
  endFlows,
  findFlows,
  foundFlows,
  GREP_ANSWERS,
  LOOKED_FOR_MAX,
  listFlows,
} from './flows.ts';
import type { Family, Table } from './items.ts';
import type { NodeNames } from './names.ts';
import { HOST, type Netcmd, namespace, type Outcome } from './netcmd.ts';
import type { Plan } from './plan.ts';
import { changedPorts, endPortFlows, findPortFlows, strayFlows } from './port-flows.ts';

export interface FlowSweepDeps {
  readonly netcmd: Netcmd;
  readonly names: NodeNames;
}

/** What was in the kernel before a pass, and what is now. */
export interface Swept {
  readonly have: Items;
  readonly want: Items;
  readonly plan: Plan;
  /** What was there is known well: what is not wanted any more is nobody's. */
  readonly isSure: boolean;
}

type Place = Table['place'];

/**
 * Ends flows that the kernel would go on sending where nothing is any more. Where it does not tell which
 * flows there are, or conntrack is not installed, they end by themselves.
 */
export class FlowSweep {
  readonly #deps: FlowSweepDeps;

  constructor(deps: FlowSweepDeps) {
    this.#deps = deps;
  }
  async sweep(swept: Swept): Promise<void> {
    await this.#endThoseToBackends(swept);
    const { self, peers } = swept.plan.around ?? {};
    const nodes = [...(peers?.values() ?? [])].flatMap(({ addresses }) => addresses);
    await this.#endThoseToPorts(swept, 'host', self?.addresses ?? []);
    await this.#endThoseToPorts(swept, 'router', nodes);
  }

  /** Datagrams of a client go on to the backend they went to, until the kernel forgets that they did. */
  async #endThoseToBackends({ have, want, plan, isSure }: Swept): Promise<void> {
    const gone = new Set(goneEndpoints(have, want, plan.parts));
    const leaving = leavingBackends(have, want).filter((address) => !gone.has(address));
    // Rows that were kept over a start may lack what came last: connections to that are not ended.
    const flows = [
      ...leaving.map((backend) => ({ backend, datagrams: true })),
      ...[...gone].map((backend) => ({ backend, datagrams: !isSure })),
    ];
    for (let at = 0; at < flows.length; at += LOOKED_FOR_MAX) {
      const group = flows.slice(at, at + LOOKED_FOR_MAX);
      // Its exit code says whether there still was any.
      for (const found of foundFlows(await this.#lines('router', findFlows(group)), group))
        await this.#run('router', 'conntrack', endFlows(found));
    }
  }
  async #endThoseToPorts({ have, want }: Swept, where: Place, own: readonly string[]) {
    const ports = changedPorts(have, want, where);
    for (let at = 0; at < ports.length; at += LOOKED_FOR_MAX) {
      const lines = await this.#lines(where, findPortFlows(ports.slice(at, at + LOOKED_FOR_MAX)));
      for (const stray of strayFlows(lines, want, where, own))
        await this.#run(where, 'conntrack', endPortFlows(stray));
    }
  }
  async #lines(where: Place, words: readonly string[]): Promise<string> {
    const { code, output } = await this.#run(where, 'grep', words);
    if (GREP_ANSWERS.has(code)) return output;
    const families: readonly Family[] = [4, 6];
    const lists: string[] = [];
    for (const family of families)
      lists.push((await this.#run(where, 'conntrack', listFlows(family))).output);
    return lists.join('\n');
  }
  #run(where: Place, program: 'grep' | 'conntrack', args: readonly string[]): Promise<Outcome> {
    const { netcmd, names } = this.#deps;
    const place = where === 'router' ? namespace(names.router) : HOST;
    return netcmd.run({ place, program, args, input: '' });
  }
}
