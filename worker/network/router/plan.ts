import { isIP } from 'node:net';
import type { LoadBalanced, NetworkService } from '../../../proto/index.ts';
import type { LocalEndpoint } from '../container-network.ts';
import { type Choice, choiceItem } from './choices.ts';
import type { Item } from './items.ts';
import type { NodeNames } from './names.ts';
import { type EndpointPart, planEndpoint } from './plan-endpoints.ts';
import { planBase, planNetwork, planNodeAddresses, planPeer, planRules } from './plan-networks.ts';
import {
  type CarriedPort,
  carriedPorts,
  type Publishing,
  planPublished,
} from './plan-published.ts';
import { planNetworkService, type ServicePart } from './plan-services.ts';
import { planTunnel } from './plan-tunnel.ts';
import { type OverlayRows, Surroundings } from './surroundings.ts';
import type { TaskLink } from './task-link.ts';

export interface PlanInput {
  readonly nodeId: string;
  readonly short: string;
  readonly names: NodeNames;
  readonly endpoints: readonly LocalEndpoint[];
  /** Directory of this node's WireGuard keys. */
  readonly tunnelKeys: string;
  /** Undefined: the proxy tier, or nobody has said yet that this node carries overlay traffic. */
  readonly overlay: (OverlayRows & { readonly publishing: Publishing }) | undefined;
}

/**
 * All that should be in the kernel, in parts. A part whose rows have not changed is the same object as
 * in the plan before, so that a change of one row costs what that row brings and no more. No thing is
 * in two parts.
 */
export interface Plan {
  readonly parts: ReadonlyMap<string, readonly Item[]>;
  /** By device. */
  readonly links: ReadonlyMap<string, TaskLink>;
  readonly around: Surroundings | undefined;
}

/** Makes plans of rows; remembers parts by the rows they were made from. */
export class Planner {
  #around: Surroundings | undefined;
  #rows: Pick<OverlayRows, 'peers' | 'networks'> = { peers: [], networks: [] };
  /** Parts that depend on nothing but a row and the surroundings. */
  #services = new WeakMap<NetworkService, ServicePart>();
  #published = new WeakMap<LoadBalanced, { key: string; part: ServicePart }>();
  #publishedBy: PublishedBy | undefined;
  #endpoints = new WeakMap<LocalEndpoint, EndpointPart>();
  #fixed: ReadonlyMap<string, readonly Item[]> = new Map();
  readonly #base = planBase();
  /** Of parts with IPv6 in them. */
  readonly #withoutSix = new WeakMap<readonly Item[], readonly Item[]>();
  readonly #choices = new Map<string, Choice>();
  #chains: readonly Item[] = [];
  readonly #six: boolean;

  /** `six`: the kernel has IPv6; else nothing of it is in any plan. */
  constructor(six: boolean) {
    this.#six = six;
  }
  plan(input: PlanInput): Plan {
    this.#look(input);
    const parts = new Map<string, readonly Item[]>([['base', this.#base], ...this.#fixed]);
    const links = new Map<string, TaskLink>();
    const networks = this.#around?.networks ?? new Map();
    for (const endpoint of input.endpoints) {
      const part = cached(this.#endpoints, endpoint, () =>
        planEndpoint(input.short, endpoint, networks, this.#six),
      );
      parts.set(`endpoint ${endpoint.taskId}`, part.items);
      for (const link of part.links) links.set(link.device, link);
    }
    if (this.#around && input.overlay) this.#planOverlay(this.#around, input.overlay, parts);
    return { parts: this.#six ? parts : this.#four(parts), links, around: this.#around };
  }

  #four(parts: Plan['parts']): Plan['parts'] {
    const four = (part: readonly Item[]): readonly Item[] =>
      cached(this.#withoutSix, part, () => part.filter(({ six }) => !six));
    return new Map([...parts].map(([name, part]) => [name, four(part)]));
  }

  #planOverlay(
    around: Surroundings,
    overlay: OverlayRows & { readonly publishing: Publishing },
    parts: Map<string, readonly Item[]>,
  ): void {
    const choices: Choice[] = [];
    for (const row of overlay.networkServices) {
      const part = cached(this.#services, row, () => planNetworkService(around, row));
      parts.set(`service ${row.id}`, part.items);
      choices.push(...part.choices);
    }
    for (const [service, part] of this.#publishAll(around, overlay.services, overlay.publishing)) {
      parts.set(`published ${service.serviceId}`, part.items);
      choices.push(...part.choices);
    }
    parts.set('chains', this.#chainsOf(choices));
  }
  #publishAll(
    around: Surroundings,
    services: readonly LoadBalanced[],
    publishing: Publishing,
  ): ReadonlyMap<LoadBalanced, ServicePart> {
    const known = this.#publishedBy;
    if (
      known?.around === around &&
      known.publishing === publishing &&
      same(known.services, services)
    )
      return known.parts;
    const carried = byService(carriedPorts(around.self.nodeId, services, publishing));
    const parts = new Map(
      services.map((each) => [each, this.#publish(around, each, carried.get(each) ?? [])]),
    );
    this.#publishedBy = { around, publishing, services, parts };
    return parts;
  }
  #publish(
    around: Surroundings,
    service: LoadBalanced,
    ports: readonly CarriedPort[],
  ): ServicePart {
    const key = JSON.stringify(ports.map(({ port, bind }) => [service.ports.indexOf(port), bind]));
    const known = this.#published.get(service);
    if (known?.key === key) return known.part;
    const part = planPublished(around, service, ports);
    this.#published.set(service, { key, part });
    return part;
  }
  /** Peers and networks are in everything: when one changes, everything is made anew. */
  #look({ nodeId, names, overlay, tunnelKeys }: PlanInput): void {
    const rows = overlay ?? { peers: [], networks: [] };
    const { peers, networks } = this.#rows;
    if (same(peers, rows.peers) && same(networks, rows.networks)) return;
    this.#rows = rows;
    this.#services = new WeakMap();
    this.#published = new WeakMap();
    this.#endpoints = new WeakMap();
    const self = rows.peers.find((peer) => peer.nodeId === nodeId);
    const carries = self !== undefined && isIP(self.dataAddress) !== 0 && self.index > 0;
    this.#around = carries ? new Surroundings(names, self, rows) : undefined;
    this.#fixed = this.#around ? planFixed(this.#around, tunnelKeys) : new Map();
  }
  #chainsOf(choices: readonly Choice[]): readonly Item[] {
    const before = this.#choices.size;
    for (const choice of choices) this.#choices.set(`${choice.family} ${choice.chain}`, choice);
    if (this.#choices.size > before) this.#chains = [...this.#choices.values()].map(choiceItem);
    return this.#chains;
  }
}

interface PublishedBy {
  readonly around: Surroundings;
  readonly publishing: Publishing;
  readonly services: readonly LoadBalanced[];
  readonly parts: ReadonlyMap<LoadBalanced, ServicePart>;
}

function planFixed(around: Surroundings, tunnelKeys: string): ReadonlyMap<string, readonly Item[]> {
  const networks = [...around.networks.values()];
  const others = [...around.peers.values()].filter((peer) => peer !== around.self);
  return new Map([
    ['rules', planRules()],
    ['tunnel', planTunnel(around, tunnelKeys)],
    ['addresses', planNodeAddresses(around)],
    ...networks.map((network) => [`network ${network.id}`, planNetwork(around, network)] as const),
    ...others.map((peer) => [`peer ${peer.nodeId}`, planPeer(around, peer, networks)] as const),
  ]);
}

function byService(
  carried: readonly CarriedPort[],
): ReadonlyMap<LoadBalanced, readonly CarriedPort[]> {
  const groups = new Map<LoadBalanced, CarriedPort[]>();
  for (const each of carried) {
    const group = groups.get(each.service);
    if (group) group.push(each);
    else groups.set(each.service, [each]);
  }
  return groups;
}

function cached<K extends object, V>(cache: WeakMap<K, V>, key: K, make: () => V): V {
  const known = cache.get(key);
  if (known !== undefined) return known;
  const made = make();
  cache.set(key, made);
  return made;
}

function same(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((each, at) => each === b[at]);
}
