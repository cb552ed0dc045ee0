import { stepsOf } from './commands.ts';
import { type Changes, diff, differing, flat, type Items, type Parts } from './diff.ts';
import { FlowSweep } from './flow-sweep.ts';
import { hostScript, readUplink, type Uplink } from './host-script.ts';
import { hostTableText } from './host-table.ts';
import { type Family, type Item, routerTable } from './items.ts';
import { LoadedTables, type WantedTable } from './loaded-tables.ts';
import type { NodeNames } from './names.ts';
import {
  type Command,
  HOST,
  must,
  type Netcmd,
  namespace,
  type Outcome,
  script,
} from './netcmd.ts';
import { OBSERVE_SCRIPT, readRouter, readTunnel } from './observe.ts';
import type { Plan } from './plan.ts';
import { routerTableText } from './router-table.ts';
import { digestOf, taskLinkScript } from './task-script.ts';
import { encryptedPort } from './tunnel-names.ts';
import { observeTunnelScript } from './tunnel-script.ts';

export interface KernelDeps {
  readonly netcmd: Netcmd;
  readonly names: NodeNames;
  /** It has IPv6. */
  readonly six: boolean;
}

export interface Done {
  /** What could not be done; empty: all but what `failedLinks` names was. */
  readonly problem: string;
  /** Devices of containers' links that could not be set up, with the reason. */
  readonly failedLinks: ReadonlyMap<string, string>;
  /** Why encrypted networks have no way to other nodes; empty: they have, or there is none. */
  readonly tunnelProblem: string;
  /** How many things were not as the last pass had left them. */
  readonly repaired: number;
}

const CONTAINERS_AT_ONCE = 4;

/**
 * What the kernel has of this node's network, and how it is brought to a plan. Remembers what it left,
 * so that a change of one row is a few lines; whatever fails makes it forget, and look.
 */
export class Kernel {
  readonly #netcmd: Netcmd;
  readonly #names: NodeNames;
  readonly #flows: FlowSweep;
  readonly #families: readonly Family[];
  /** Undefined: not known, so it has to be looked at. */
  #parts: Parts | undefined;
  readonly #tables: LoadedTables;
  #uplink: Uplink | undefined;
  /** The script that was run for it last. */
  #uplinkMadeBy = '';
  #othersForward = false;

  constructor(deps: KernelDeps) {
    this.#netcmd = deps.netcmd;
    this.#names = deps.names;
    this.#flows = new FlowSweep(deps);
    this.#families = deps.six ? [4, 6] : [4];
    this.#tables = new LoadedTables(deps);
  }
  /** Undefined: not made yet. */
  get uplink(): Uplink | undefined {
    return this.#uplink;
  }
  forget(): void {
    this.#parts = undefined;
    this.#tables.forget();
    this.#uplink = undefined;
    this.#uplinkMadeBy = '';
  }
  /** `look`: what is there is read, not remembered. */
  async bring(plan: Plan, look: boolean, isRepeated = false): Promise<Done> {
    const before = this.#parts;
    this.#parts = undefined;
    let have: Items;
    let want: Items;
    await this.#makeUplink(plan, look);
    if (before === undefined || look) {
      want = flat(plan.parts);
      have = await this.#observe(want);
    } else ({ have, want } = differing(before, plan.parts));
    const known = this.#tables.names;
    const reloaded = await this.#tables.load(this.#wantedTables(plan), plan);
    const changes = diff(withTables(have, want, reloaded), want);
    const { problem, tunnelProblem, failedLinks, madeLinks } = await this.#carryOut(changes, plan);
    const remade = !isRepeated && madeLinks.some((device) => have.has(`link ${device}`));
    await this.#flows.sweep({ have, want, plan, isSure: before !== undefined });
    if (changes.make.some(({ id }) => id.startsWith('chain ')))
      await this.#tables.learnStructures('router');
    const isDone = problem === '' && tunnelProblem === '' && failedLinks.size === 0;
    if (isDone && !remade) this.#parts = plan.parts;
    // One that is only to be another was not taken away by anybody.
    const lost = [...this.#tables.names].filter((name) => !known.has(name));
    const made = this.#uplink?.made === true ? 1 : 0;
    const repaired = before === undefined ? 0 : repairs(changes) + lost.length + made;
    if (!remade) return { problem, tunnelProblem, failedLinks, repaired };
    // A link that was made anew has lost what hung on it.
    return this.bring(plan, true, true);
  }
  /** Whether programs other than ours filter what this host forwards. */
  async othersForward(): Promise<boolean> {
    const input = 'nft -j list chains; echo; cat /proc/net/ip_tables_names 2>/dev/null || true\n';
    const output = await must(this.#netcmd, script(HOST, input));
    const [chains = '{}', ...legacy] = output.split('\n');
    const { nftables = [] } = JSON.parse(chains) as { readonly nftables?: readonly ListedChain[] };
    return (
      legacy.some((line) => line.trim() === 'filter') ||
      nftables.some(({ chain }) => chain?.hook === 'forward' && !/^swarm_/.test(chain.table))
    );
  }

  /** Finds out how host and router are linked, and changes nothing where they are. */
  takeUp(): Promise<void> {
    return this.#linkUp(hostScript({ names: this.#names, overlay: true, six: false }));
  }

  async #makeUplink({ around }: Plan, look: boolean): Promise<void> {
    const isAsked = [...(around?.networks.values() ?? [])].some(({ subnets }) =>
      subnets.some(({ cidr }) => cidr.includes(':')),
    );
    const six = isAsked && this.#families.includes(6);
    const input = hostScript({ names: this.#names, overlay: around !== undefined, six });
    if (look || input !== this.#uplinkMadeBy) await this.#linkUp(input);
  }
  async #linkUp(input: string): Promise<void> {
    const output = await must(this.#netcmd, script(HOST, input));
    this.#uplinkMadeBy = input;
    this.#uplink = readUplink(output);
    const { forwardingIsOurs, forwardingIsOurs6 } = this.#uplink;
    this.#othersForward = (forwardingIsOurs || forwardingIsOurs6) && (await this.othersForward());
  }
  /** Also finds out which tables are as they were loaded; the others will be loaded again. */
  async #observe(want: Items): Promise<Items> {
    const place = namespace(this.#names.router);
    const output = await must(this.#netcmd, script(place, OBSERVE_SCRIPT));
    const have = new Map<string, Item>();
    for (const item of readRouter(output, this.#names.router)) have.set(item.id, item);
    for (const item of await this.#observeTunnel(want)) have.set(item.id, item);
    for (const item of await this.#tables.observe()) have.set(item.id, item);
    // Text of chains is covered by the structure of their table.
    for (const item of want.values())
      if (have.has(item.id) && item.id.startsWith('chain ')) have.set(item.id, item);
    return have;
  }
  async #observeTunnel(want: Items): Promise<readonly Item[]> {
    const { tunnel } = this.#names;
    const input = observeTunnelScript(tunnel);
    const output = await must(this.#netcmd, script(HOST, input));
    return readTunnel(output, tunnel, want);
  }
  #wantedTables(plan: Plan): readonly WantedTable[] {
    const { self } = plan.around ?? {};
    const uplink = this.#uplink!;
    const dataIsV4 = self !== undefined && !self.dataAddress.includes(':');
    const host = {
      name: this.#names.table,
      uplink: this.#names.uplink,
      tunnel: this.#names.tunnel,
      address: dataIsV4 ? self.dataAddress : uplink.host,
      dataPort: self?.dataPort,
      encryptedPort: encryptedPort(self?.dataPort ?? 0),
    };
    const isOurs = (family: Family): boolean =>
      (family === 6 ? uplink.forwardingIsOurs6 : uplink.forwardingIsOurs) && !this.#othersForward;
    return this.#families.flatMap((family) => [
      { table: routerTable(family), text: routerTableText(family) },
      {
        table: { place: 'host', family, name: this.#names.table } as const,
        text: hostTableText({ ...host, onlyOurs: isOurs(family) }, family),
      },
    ]);
  }
  async #carryOut(changes: Changes, plan: Plan) {
    const { before, tunnel, tasks, after } = stepsOf(changes, this.#names.router);
    const problems: string[] = [];
    const failedLinks = new Map<string, string>();
    const madeLinks: string[] = [];
    const tunnelProblems: string[] = [];
    for (const command of tunnel) tunnelProblems.push(...(await this.#try(command)));
    for (const command of before) problems.push(...(await this.#try(command)));
    const containers = byNamespace(tasks, plan);
    for (let at = 0; at < containers.length; at += CONTAINERS_AT_ONCE) {
      const group = containers.slice(at, at + CONTAINERS_AT_ONCE);
      const outcomes = await Promise.all(group.map((devices) => this.#setUpLinks(devices, plan)));
      for (const [device, outcome] of outcomes.flat()) {
        if (outcome.code !== 0) failedLinks.set(device, lastLine(outcome.output));
        else if (/^made$/m.test(outcome.output)) madeLinks.push(device);
      }
    }
    for (const command of after) problems.push(...(await this.#try(command)));
    const [problem = ''] = problems;
    return { problem, tunnelProblem: tunnelProblems[0] ?? '', failedLinks, madeLinks };
  }
  /** One after the other: the first one makes the container's namespace. */
  async #setUpLinks(devices: readonly string[], plan: Plan) {
    const outcomes: (readonly [string, Outcome])[] = [];
    for (const device of devices)
      outcomes.push([device, await this.#setUpLink(device, plan)] as const);
    return outcomes;
  }
  #setUpLink(device: string, plan: Plan): Promise<Outcome> {
    const link = plan.links.get(device)!;
    const input = taskLinkScript(link, digestOf(link));
    return this.#run(script(namespace(this.#names.router), input));
  }
  async #try(command: Command): Promise<readonly string[]> {
    const { code, output } = await this.#run(command);
    return code === 0 ? [] : [`${command.program}: ${firstLine(output)}`];
  }
  #run(command: Command): Promise<Outcome> {
    return this.#netcmd.run(command);
  }
}

interface ListedChain {
  readonly chain?: { readonly table: string; readonly hook?: string };
}

/** What was just loaded with its table is there. */
function withTables(have: Items, want: Items, reloaded: ReadonlySet<string>): Items {
  if (reloaded.size === 0) return have;
  const isIn = ({ id }: Item): boolean => {
    const [kind, family, name] = id.split(' ', 3);
    return (kind === 'element' || kind === 'chain') && reloaded.has(`${family} ${name}`);
  };
  const now = new Map([...have].filter(([, item]) => !isIn(item)));
  for (const item of want.values()) if (isIn(item)) now.set(item.id, item);
  return now;
}

function byNamespace(devices: readonly string[], plan: Plan): readonly (readonly string[])[] {
  const groups = new Map<string, string[]>();
  for (const device of devices) {
    const { namespace } = plan.links.get(device)!;
    const group = groups.get(namespace);
    if (group) group.push(device);
    else groups.set(namespace, [device]);
  }
  return [...groups.values()];
}

function repairs({ clear, make, take }: Changes): number {
  return make.length + take.length + clear.length;
}

function firstLine(text: string): string {
  return text.trim().split('\n')[0] ?? '';
}
function lastLine(text: string): string {
  return text.trim().split('\n').at(-1) ?? '';
}
