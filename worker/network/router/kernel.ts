import { stepsOf } from './commands.ts';
import { type Changes, diff, differing, flat, type Items, type Parts } from './diff.ts';
import { FlowSweep } from './flow-sweep.ts';
import { hostScript, readUplink, type Uplink } from './host-script.ts';
import { hostTableText } from './host-table.ts';
import { type Family, type Item, routerTable, type Table, tableWords } from './items.ts';
import type { NodeNames } from './names.ts';
import { type Command, HOST, type Netcmd, namespace, type Outcome, type Place } from './netcmd.ts';
import { OBSERVE_SCRIPT, readRouter, readTable, readTunnel, type TableState } from './observe.ts';
import type { Plan } from './plan.ts';
import { tableReplacement } from './render.ts';
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

interface LoadedTable {
  readonly table: Table;
  readonly text: string;
  /** As the kernel lists it. */
  readonly structure: string;
}

const CONTAINERS_AT_ONCE = 4;
const PLACES = ['router', 'host'] as const;

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
  #tables = new Map<string, LoadedTable>();
  #uplink: Uplink | undefined;
  /** The script that was run for it last. */
  #uplinkMadeBy = '';
  #othersForward = false;

  constructor(deps: KernelDeps) {
    this.#netcmd = deps.netcmd;
    this.#names = deps.names;
    this.#flows = new FlowSweep(deps);
    this.#families = deps.six ? [4, 6] : [4];
  }
  /** Undefined: not made yet. */
  get uplink(): Uplink | undefined {
    return this.#uplink;
  }
  forget(): void {
    this.#parts = undefined;
    this.#tables.clear();
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
    const known = new Set(this.#tables.keys());
    const reloaded = await this.#loadTables(plan);
    const changes = diff(withTables(have, want, reloaded), want);
    const { problem, tunnelProblem, failedLinks, madeLinks } = await this.#carryOut(changes, plan);
    const remade = !isRepeated && madeLinks.some((device) => have.has(`link ${device}`));
    await this.#flows.sweep({ have, want, plan, isSure: before !== undefined });
    if (changes.make.some(({ id }) => id.startsWith('chain ')))
      await this.#learnStructures('router');
    const isDone = problem === '' && tunnelProblem === '' && failedLinks.size === 0;
    if (isDone && !remade) this.#parts = plan.parts;
    // One that is only to be another was not taken away by anybody.
    const lost = [...this.#tables.keys()].filter((key) => !known.has(key));
    const made = this.#uplink?.made === true ? 1 : 0;
    const repaired = before === undefined ? 0 : repairs(changes) + lost.length + made;
    if (!remade) return { problem, tunnelProblem, failedLinks, repaired };
    // A link that was made anew has lost what hung on it.
    return this.bring(plan, true, true);
  }
  /** Whether programs other than ours filter what this host forwards. */
  async othersForward(): Promise<boolean> {
    const input = 'nft -j list chains; echo; cat /proc/net/ip_tables_names 2>/dev/null || true\n';
    const output = await this.#must({ place: HOST, program: 'sh', args: ['-s'], input });
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
    const output = await this.#must({ place: HOST, program: 'sh', args: ['-s'], input });
    this.#uplinkMadeBy = input;
    this.#uplink = readUplink(output);
    const { forwardingIsOurs, forwardingIsOurs6 } = this.#uplink;
    this.#othersForward = (forwardingIsOurs || forwardingIsOurs6) && (await this.othersForward());
  }
  /** Also finds out which tables are as they were loaded; the others will be loaded again. */
  async #observe(want: Items): Promise<Items> {
    const place = namespace(this.#names.router);
    const output = await this.#must({ place, program: 'sh', args: ['-s'], input: OBSERVE_SCRIPT });
    const have = new Map<string, Item>();
    for (const item of readRouter(output, this.#names.router)) have.set(item.id, item);
    for (const item of await this.#observeTunnel(want)) have.set(item.id, item);
    for (const where of PLACES) {
      const states = await this.#list(where);
      for (const [key, loaded] of this.#tables) {
        if (loaded.table.place !== where) continue;
        const state = states.get(key);
        if (state === undefined || state.structure !== loaded.structure) this.#tables.delete(key);
        else for (const item of state.items) have.set(item.id, item);
      }
    }
    // Text of chains is covered by the structure of their table.
    for (const item of want.values())
      if (have.has(item.id) && item.id.startsWith('chain ')) have.set(item.id, item);
    return have;
  }
  async #observeTunnel(want: Items): Promise<readonly Item[]> {
    const { tunnel } = this.#names;
    const input = observeTunnelScript(tunnel);
    const output = await this.#must({ place: HOST, program: 'sh', args: ['-s'], input });
    return readTunnel(output, tunnel, want);
  }
  /** What the kernel has of the tables that were loaded; one that is missing is not in it. */
  async #list(where: Table['place']): Promise<ReadonlyMap<string, TableState>> {
    const tables = [...this.#tables.values()].filter(({ table }) => table.place === where);
    if (tables.length === 0) return new Map();
    const lines = tables.map(
      ({ table }) => `nft -j -n list table ${tableWords(table)} 2>/dev/null; echo`,
    );
    const input = lines.join('\n');
    const output = await this.#must({
      place: this.#place(where),
      program: 'sh',
      args: ['-s'],
      input,
    });
    const states = new Map<string, TableState>();
    for (const line of output.split('\n').filter((each) => each.trim() !== '')) {
      const table = tables.find((each) => isListing(line, each.table))?.table;
      if (table !== undefined) states.set(keyOf(table), readTable(line, table));
    }
    return states;
  }
  #place(where: Table['place']): Place {
    return where === 'router' ? namespace(this.#names.router) : HOST;
  }
  /** Loads tables that are missing, changed, or to be of another structure. Returns their names. */
  async #loadTables(plan: Plan): Promise<ReadonlySet<string>> {
    const reloaded = new Set<string>();
    for (const where of PLACES) {
      const missing = this.#wantedTables(plan).filter(
        ([table, text]) => table.place === where && this.#tables.get(keyOf(table))?.text !== text,
      );
      if (missing.length === 0) continue;
      const items = [...flat(plan.parts).values()];
      const input = missing.map(([table, text]) => tableReplacement(table, text, items)).join('');
      await this.#must({ place: this.#place(where), program: 'nft', args: ['-f', '-'], input });
      for (const [table, text] of missing) {
        this.#tables.set(keyOf(table), { table, text, structure: '' });
        reloaded.add(tableWords(table));
      }
      await this.#learnStructures(where);
    }
    return reloaded;
  }
  #wantedTables(plan: Plan): readonly (readonly [Table, string])[] {
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
      [routerTable(family), routerTableText(family)] as const,
      [
        { place: 'host', family, name: this.#names.table } as const,
        hostTableText({ ...host, onlyOurs: isOurs(family) }, family),
      ] as const,
    ]);
  }
  async #learnStructures(where: Table['place']): Promise<void> {
    for (const [key, { structure }] of await this.#list(where))
      this.#tables.set(key, { ...this.#tables.get(key)!, structure });
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
    return this.#run({ place: namespace(this.#names.router), program: 'sh', args: ['-s'], input });
  }
  async #try(command: Command): Promise<readonly string[]> {
    const { code, output } = await this.#run(command);
    return code === 0 ? [] : [`${command.program}: ${firstLine(output)}`];
  }
  async #must(command: Command): Promise<string> {
    const { code, output } = await this.#run(command);
    if (code !== 0) throw new Error(lastLine(output) || `${command.program} failed`);
    return output;
  }
  #run(command: Command): Promise<Outcome> {
    return this.#netcmd.run(command);
  }
}

interface ListedChain {
  readonly chain?: { readonly table: string; readonly hook?: string };
}

function keyOf(table: Table): string {
  return `${table.place} ${tableWords(table)}`;
}

/** The table stands before everything that is in it. */
function isListing(line: string, { family, name }: Table): boolean {
  const words = `"table": {"family": "${family === 6 ? 'ip6' : 'ip'}", "name": "${name}"`;
  return line.slice(0, 400).includes(words);
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
