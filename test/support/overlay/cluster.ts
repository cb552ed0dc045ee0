import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { TaskView } from '../../../proto/index.ts';
import {
  buildImage,
  dockerArchive,
  type ImageParts,
} from '../../../shared/distribution/image.fixture.ts';
import { taskNamespace } from '../../../worker/network/router/names.ts';
import {
  busybox,
  PrivateContainerd,
} from '../../../worker/runtime/containerd/containerd.fixture.ts';
import { Hosts, type Peer } from '../../integration/network/hosts.ts';
import { Api } from '../api.ts';
import { commandLines, isRunning } from '../processes.ts';
import { mustSwarm, type Ran, type RunOptions, rows, swarm, tempDir, until } from '../swarm.ts';

/** A container that only waits: what serves and asks in it is put into its network from outside. */
export const IDLE = ['sh', '-c', 'trap "exit 0" TERM; while :; do sleep 60 & wait $!; done'];
export const IMAGE = 'test/busybox:1';
/** Port of every server that says who it is and who asks. */
export const PORT = 8_000;

export interface OverlayNode {
  readonly name: string;
  /** Number of its host, from 1. */
  readonly host: number;
  readonly ip: string;
  readonly stateDir: string;
  readonly socket: string;
}

export interface OverlayOptions {
  /** Programs that a node, by its name, does not find. */
  readonly without?: { readonly [node: string]: readonly string[] };
  readonly overIpv6?: boolean;
}

/** A task with a server, and clients, in its network. */
export interface Inhabited {
  readonly taskId: string;
  readonly node: string;
  /** As it answers. */
  readonly name: string;
  readonly addresses: readonly string[];
  readonly peer: Peer;
}

/**
 * Managers with containers, each the real daemon in a network namespace of its own on one bridge, all
 * on one private containerd. Root only.
 */
export class OverlayCluster {
  readonly hosts: Hosts;
  readonly engine = new PrivateContainerd();
  readonly nodes: readonly OverlayNode[];
  readonly #directory = tempDir();
  readonly #apis = new Map<string, Api>();
  readonly #ids = new Map<string, string>();
  /** Where a node looks for programs, when that is not where this process does. */
  readonly #paths = new Map<string, string>();
  /** Someone outside of the cluster, on the same bridge. */
  #outside: Peer | undefined;

  /** What containers send to other nodes goes over the hosts' IPv6 addresses. */
  readonly #isOverIpv6: boolean;

  private constructor(hosts: Hosts, isOverIpv6: boolean) {
    this.hosts = hosts;
    this.#isOverIpv6 = isOverIpv6;
    this.nodes = hosts.names.map((_, at) => {
      const [name, host] = [`n${at + 1}`, at + 1];
      const stateDir = join(this.#directory.path, name);
      return {
        name,
        host,
        ip: hosts.address(host),
        stateDir,
        socket: join(stateDir, 'swarm.sock'),
      };
    });
  }
  static async up(
    count: number,
    initFlags: readonly string[] = [],
    { without = {}, overIpv6 = false }: OverlayOptions = {},
  ): Promise<OverlayCluster> {
    const cluster = new OverlayCluster(await Hosts.make(count), overIpv6);
    try {
      for (const [node, programs] of Object.entries(without)) cluster.#hide(node, programs);
      await cluster.#begin(initFlags);
    } catch (error) {
      await cluster.down();
      throw error;
    }
    return cluster;
  }

  async #begin(initFlags: readonly string[]): Promise<void> {
    await this.engine.start();
    const [first, ...others] = this.nodes;
    await this.must(first!, ['init', ...this.#flags(first!), ...initFlags]);
    const token = await this.must(first!, ['join-token', '-q', 'manager']);
    for (const node of others) {
      const words = ['join', '--token', '-', ...this.#flags(node), `${first!.ip}:2377`];
      await this.must(node, words, { input: token });
    }
    for (const { node } of await this.api(first!).nodes()) this.#ids.set(node!.name, node!.id);
    await this.load(IMAGE, busybox());
  }
  /** A directory with all programs but these. */
  #hide(node: string, programs: readonly string[]): void {
    const directory = join(this.#directory.path, `programs-${node}`);
    mkdirSync(directory);
    const places = (process.env['PATH'] ?? '').split(':').filter((place) => existsSync(place));
    for (const place of places)
      for (const name of readdirSync(place)) {
        const link = join(directory, name);
        if (!programs.includes(name) && !existsSync(link)) symlinkSync(join(place, name), link);
      }
    this.#paths.set(node, directory);
  }
  #flags({ name, host, stateDir, ip }: OverlayNode): string[] {
    const data = this.#isOverIpv6 ? ['--data-path-addr', this.hosts.address6(host)] : [];
    const own = ['--state-dir', stateDir, '--name', name, '--advertise-addr', ip];
    return [...own, ...data, '--allow-process'];
  }

  // -- what people type

  node(host: number): OverlayNode {
    return this.nodes[host - 1]!;
  }
  others(than: OverlayNode): OverlayNode[] {
    return this.nodes.filter((node) => node !== than);
  }
  swarm(node: OverlayNode, args: readonly string[], options: RunOptions = {}): Promise<Ran> {
    return swarm(args, this.#on(node, options));
  }
  must(node: OverlayNode, args: readonly string[], options: RunOptions = {}): Promise<string> {
    return mustSwarm(args, this.#on(node, options));
  }
  rows<T>(node: OverlayNode, args: readonly string[]): Promise<T[]> {
    return rows<T>(args, this.#on(node, {}));
  }
  /** Typed on the first node. */
  type(...args: readonly string[]): Promise<string> {
    return this.must(this.node(1), args);
  }
  api(node: OverlayNode = this.node(1)): Api {
    const api = this.#apis.get(node.name) ?? new Api(node.socket);
    this.#apis.set(node.name, api);
    return api;
  }
  /** Creates a service of idle containers, or of what `command` says. Not waited for. */
  async create(
    name: string,
    flags: readonly string[],
    { image = IMAGE, command = IDLE }: { image?: string; command?: readonly string[] } = {},
  ): Promise<void> {
    const pace = ['--drain-time', '500ms', '--stop-grace-period', '1s', '--restart-delay', '0s'];
    const words = ['service', 'create', '-q', '-d', '--name', name, ...pace, ...flags];
    await this.type(...words, image, ...command);
  }
  /** Makes an image and gives it to the managers. */
  async load(tag: string, parts: ImageParts): Promise<void> {
    const path = join(this.#directory.path, 'image.tar');
    writeFileSync(path, dockerArchive(buildImage(parts), [tag]));
    await this.type('image', 'load', '-q', path);
  }

  /** The virtual addresses of a service, by network. */
  async virtual(service: string): Promise<{ readonly [network: string]: string }> {
    const { state } = await this.api().service(service);
    const networks = await this.rows<{ ID: string; Name: string }>(this.node(1), [
      'network',
      'ls',
      '--no-trunc',
    ]);
    const name = (id: string): string => networks.find(({ ID }) => ID === id)?.Name ?? id;
    return Object.fromEntries(
      (state?.virtualAddresses ?? []).map((each) => [name(each.networkId), each.address]),
    );
  }

  // -- what is in the network

  /** Waits for the running tasks of a service and puts a server into each of them. */
  async inhabit(service: string, count: number): Promise<Inhabited[]> {
    const tasks = await this.api().untilRunning(service, count);
    const all = await Promise.all(tasks.map((task) => this.#inhabit(service, task)));
    return all.sort((a, b) => (a.name < b.name ? -1 : 1));
  }
  async #inhabit(service: string, { task, nodeName: node }: TaskView): Promise<Inhabited> {
    const { id: taskId, attachments, slot } = task!;
    const name = `${service}.${slot || node}`;
    const host = this.nodes.find((each) => each.name === node)!;
    const peer = await this.hosts.peer(taskNamespace(this.short(host), taskId), name);
    await peer.call('serve', PORT);
    const addresses = attachments.flatMap(({ address, address6 }) =>
      address6 === '' ? [address] : [address, address6],
    );
    return { taskId, node, name, addresses, peer };
  }
  /** A client on the bridge between the hosts. */
  async outside(): Promise<Peer> {
    this.#outside ??= await this.hosts.peer(this.hosts.outside, 'outside');
    return this.#outside;
  }
  /** First characters of a node's id, which all that it makes carries. */
  short(node: OverlayNode): string {
    return this.#ids.get(node.name)!.slice(0, 8);
  }
  id(node: OverlayNode): string {
    return this.#ids.get(node.name)!;
  }
  /** A line of shell in the network of a node's host, or of its router. */
  sh(node: OverlayNode, line: string): Promise<string> {
    return this.hosts.must(this.hosts.name(node.host), line);
  }
  inRouter(node: OverlayNode, line: string): Promise<string> {
    return this.hosts.must(`swr-${this.short(node)}`, line);
  }

  // -- its processes

  pid(node: OverlayNode): number | undefined {
    const path = join(node.stateDir, 'lock');
    if (!existsSync(path)) return undefined;
    const { pid } = JSON.parse(readFileSync(path, 'utf8')) as { pid: number };
    return isRunning(pid) ? pid : undefined;
  }
  netd(node: OverlayNode): number | undefined {
    return this.#own(node.stateDir).find(({ words }) =>
      words.some((word) => /netd\.[mc]?js$/.test(word)),
    )?.pid;
  }
  /** As kill -9; resolves when it is gone. */
  async kill(node: OverlayNode): Promise<void> {
    const pid = this.pid(node)!;
    process.kill(pid, 'SIGKILL');
    await until('a killed daemon to be gone', () => !isRunning(pid) || undefined);
  }
  async start(node: OverlayNode): Promise<void> {
    await this.must(node, ['start', '--state-dir', node.stateDir, '--allow-process']);
  }
  log(node: OverlayNode): string {
    return readFileSync(join(node.stateDir, 'swarmd.log'), 'utf8');
  }

  // -- links between hosts

  /** Neither control nor data passes between the node and the others until `heal`. */
  async cut(node: OverlayNode): Promise<void> {
    const others = this.others(node);
    const four = others.map(({ ip }) => ip).join(', ');
    const six = others.map(({ host }) => this.hosts.address6(host)).join(', ');
    const [from, to] = ['saddr', 'daddr'].map(
      (end) => `ip ${end} { ${four} } drop; ip6 ${end} { ${six} } drop`,
    );
    await this.sh(
      node,
      `nft -f - <<END
table inet cut {
  chain in { type filter hook prerouting priority -400; ${from}; }
  chain out { type filter hook postrouting priority 400; ${to}; }
}
END`,
    );
  }
  async heal(node: OverlayNode): Promise<void> {
    await this.sh(node, 'nft delete table inet cut');
  }

  /** Every node leaves, so that their containers end; then whatever is left, and the hosts. */
  async down(): Promise<void> {
    for (const api of this.#apis.values()) api.close();
    this.hosts.endPeers();
    await Promise.all(
      this.nodes.filter((node) => this.pid(node) !== undefined).map((node) => this.leave(node)),
    );
    for (const { pid } of this.#own(`${this.#directory.path}/`)) process.kill(pid, 'SIGKILL');
    await this.engine.close().finally(async () => {
      for (const id of this.#ids.values()) await this.hosts.removeOf(id.slice(0, 8));
      await this.hosts.end();
      this.#directory.remove();
    });
  }
  leave(node: OverlayNode): Promise<Ran> {
    return this.swarm(node, ['leave', '--force']);
  }
  #own(place: string): { readonly pid: number; readonly words: readonly string[] }[] {
    return commandLines().filter(({ words }) => words.some((word) => word.includes(place)));
  }
  #on(node: OverlayNode, options: RunOptions): RunOptions {
    const path = this.#paths.get(node.name);
    const env = {
      CONTAINERD_ADDRESS: this.engine.socket,
      SWARM_SOCKET: node.socket,
      ...(path === undefined ? {} : { PATH: path }),
    };
    const prefix = ['nsenter', `--net=/run/netns/${this.hosts.name(node.host)}`];
    return { timeoutMs: 60_000, ...options, prefix, env: { ...env, ...options.env } };
  }
}
