import type { Clock } from '../../../shared/clock.ts';
import { messageOf } from '../../../shared/errors.ts';
import type { Log } from '../../../shared/log.ts';
import type { Random } from '../../../shared/random.ts';
import type { Io } from '../../io.ts';
import { RuntimeError } from '../../runtime.ts';
import type { ContainerNetwork, LocalEndpoint } from '../container-network.ts';
import { countUnconfirmed } from '../task-sockets.ts';
import { destroyScript } from './host-script.ts';
import { type Done, Kernel } from './kernel.ts';
import { IPV6, type NodeNames, nodeNames, taskNamespace } from './names.ts';
import { NamespaceRemoval } from './namespace-removal.ts';
import { HOST, type Netcmd, script } from './netcmd.ts';
import { Passes } from './passes.ts';
import { type Plan, type PlanInput, Planner } from './plan.ts';
import { localAddress } from './plan-endpoints.ts';

export interface RouterDeps {
  readonly io: Pick<Io, 'list' | 'stat'>;
  readonly netcmd: Netcmd;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly nodeId: string;
  /** First 8 characters of the node id: whatever is made here is named after it. */
  readonly short: string;
  /** Directory of this node's WireGuard keys. */
  readonly tunnelKeys: string;
  /** Rows of what the node carries will come: until then whatever is there stays as it is. */
  readonly carries: boolean;
  /** Tells when somebody changed the host's network or the router; ends with `close`. */
  readonly watch: (names: NodeNames, onChange: () => void) => { close(): void };
}

/**
 * The router of a node: the network namespace that all traffic of its containers passes. What is wanted
 * comes in as rows; every pass makes the kernel like that, from what the last pass left or, at the
 * start, every half a minute and whenever somebody else changed something, from what is there.
 */
export class Router implements ContainerNetwork {
  readonly names: NodeNames;
  readonly #deps: RouterDeps;
  readonly #planner: Planner;
  readonly #kernel: Kernel;
  readonly #passes: Passes;
  readonly #removal: NamespaceRemoval;
  readonly #endpoints = new Map<string, LocalEndpoint>();
  #overlay: PlanInput['overlay'];
  #overlayIndex = 0;
  /** A router is there, and what it carries has not been told yet. */
  #isWaiting = false;
  readonly #settledFns: ((index: number) => void)[] = [];
  readonly #endpointsFns: (() => void)[] = [];
  #plan: Plan | undefined;
  #failedLinks: ReadonlyMap<string, string> = new Map();
  /** What the last pass could not do; empty: everything is as it should be. */
  #problem = '';
  #tunnelProblem = '';
  #repaired = 0;
  #state: 'closed' | 'open' = 'closed';
  /** Taken away for good: rows that still come build nothing again. */
  #isDestroyed = false;
  #opening: Promise<void> | undefined;
  #watcher: { close(): void } | undefined;

  constructor(deps: RouterDeps) {
    this.#deps = deps;
    this.names = nodeNames(deps.short);
    const six = deps.io.stat(IPV6) !== undefined;
    this.#planner = new Planner(six);
    this.#kernel = new Kernel({ netcmd: deps.netcmd, names: this.names, six });
    this.#removal = new NamespaceRemoval(deps.netcmd);
    const { clock, random } = deps;
    this.#passes = new Passes({ clock, random, work: (look) => this.#work(look) });
  }
  /** Builds the router, or takes up the one that is there. Throws RuntimeError UNSUPPORTED. */
  async open(): Promise<void> {
    if (this.#isDestroyed)
      throw new RuntimeError('UNSUPPORTED', 'the network of containers was taken away');
    this.#opening ??= this.#open().catch((error) => {
      this.#opening = undefined;
      throw error;
    });
    await this.#opening;
  }
  /** Leaves everything as it is. */
  async close(): Promise<void> {
    await this.#opening?.catch(() => undefined);
    this.#opening = undefined;
    this.#state = 'closed';
    this.#watcher?.close();
    await this.#passes.close();
  }
  /** Takes everything of this node's away; it is not opened again. */
  async destroy(): Promise<void> {
    this.#isDestroyed = true;
    await this.close();
    if (!this.#exists()) return;
    this.#endpoints.clear();
    await Promise.all(this.attached().map((taskId) => this.#removeNamespace(taskId)));
    const keep = await this.#kernel.othersForward().catch(() => true);
    const input = destroyScript(this.names, keep);
    await this.#deps.netcmd.run(script(HOST, input));
    this.#kernel.forget();
  }

  /** What the node carries beyond its own containers, as of a raft index; undefined: nothing. */
  setOverlay(overlay: PlanInput['overlay'], index: number): void {
    this.#overlay = overlay;
    this.#overlayIndex = index;
    this.#isWaiting = false;
  }
  /** Called with the index of the rows that are in effect. */
  onSettled(fn: (index: number) => void): void {
    this.#settledFns.push(fn);
  }
  /** Called when a container has come or gone. */
  onEndpoints(fn: () => void): void {
    this.#endpointsFns.push(fn);
  }
  get endpoints(): readonly LocalEndpoint[] {
    return [...this.#endpoints.values()];
  }
  /** Makes it so. Resolves when a pass that knew all of this has ended, with what it could not do. */
  async settle(): Promise<string> {
    if (this.#state === 'closed') return 'the network of containers is not open';
    if (this.#isWaiting) return 'this node has not heard yet what its networks carry';
    await this.#passes.run(false);
    return this.#problem;
  }
  /** As somebody else's change would: everything is looked at again. */
  async repair(): Promise<string> {
    await this.#passes.run(true);
    return this.#problem;
  }
  get problem(): string {
    return this.#problem;
  }
  /** Why encrypted networks are cut off; empty: they are not. */
  get tunnelProblem(): string {
    return this.#tunnelProblem;
  }
  /** How many things the last look found that were not as they had been left. */
  get repaired(): number {
    return this.#repaired;
  }
  /** What should be in the kernel, as of the last pass. */
  get plan(): Plan | undefined {
    return this.#plan;
  }
  get kernel(): Kernel {
    return this.#kernel;
  }

  get address(): string {
    return this.#kernel.uplink?.router ?? '';
  }
  namespacePath(taskId: string): string {
    return `/run/netns/${taskNamespace(this.#deps.short, taskId)}`;
  }
  containerAddress(endpoint: Pick<LocalEndpoint, 'index' | 'attachments'>): string {
    return endpoint.attachments[0]?.address || localAddress(endpoint.index);
  }
  async attach(endpoint: LocalEndpoint): Promise<void> {
    this.#put(endpoint);
    const problem = await this.settle();
    const failed = problem || this.#failureOf(endpoint);
    if (failed === undefined || failed === '') return;
    this.#drop(endpoint.taskId);
    throw new RuntimeError('IO', `can't attach the container to its networks: ${failed}`, true);
  }
  adopt(endpoint: LocalEndpoint): void {
    this.#put(endpoint);
    if (this.#state === 'open') void this.#passes.run(false);
  }
  async unconfirmed(taskId: string): Promise<number> {
    const path = this.namespacePath(taskId);
    const input = `exec nsenter --net=${path} cat /proc/net/tcp /proc/net/tcp6 2>/dev/null\n`;
    const { netcmd } = this.#deps;
    const { output } = await netcmd.run(script(HOST, input));
    return countUnconfirmed(output);
  }
  async detach(taskId: string): Promise<void> {
    if (this.#drop(taskId) && this.#state === 'open') await this.settle();
    await this.#removeNamespace(taskId);
  }
  has(taskId: string): boolean {
    return this.#endpoints.has(taskId);
  }
  attached(): readonly string[] {
    const prefix = taskNamespace(this.#deps.short, '');
    return this.#deps.io
      .list('/run/netns')
      .filter((name) => name.startsWith(prefix))
      .map((name) => name.slice(prefix.length));
  }

  #put(endpoint: LocalEndpoint): void {
    this.#endpoints.set(endpoint.taskId, endpoint);
    for (const fn of this.#endpointsFns) fn();
  }
  #drop(taskId: string): boolean {
    const was = this.#endpoints.delete(taskId);
    if (was) for (const fn of this.#endpointsFns) fn();
    return was;
  }
  async #open(): Promise<void> {
    this.#state = 'open';
    this.#passes.open();
    this.#isWaiting = this.#deps.carries && this.#overlay === undefined && this.#exists();
    if (this.#isWaiting) await this.#takeUp();
    else await this.#passes.run(true);
    if (this.#kernel.uplink === undefined) {
      this.#state = 'closed';
      await this.#passes.close();
      const why = `can't build the network of containers: ${this.#problem}`;
      throw new RuntimeError('UNSUPPORTED', why);
    }
    this.#watcher = this.#deps.watch(this.names, () => this.#passes.disturbed());
  }
  #exists(): boolean {
    return this.#deps.io.stat(`/run/netns/${this.names.router}`) !== undefined;
  }
  async #takeUp(): Promise<void> {
    try {
      await this.#kernel.takeUp();
    } catch (error) {
      this.#problem = messageOf(error);
    }
  }
  #failureOf({ index, taskId, attachments }: LocalEndpoint): string | undefined {
    const planned = this.#plan?.parts.get(`endpoint ${taskId}`) ?? [];
    const devices = planned.flatMap(({ link }) => link ?? []);
    if (devices.length < Math.max(1, attachments.length))
      return `endpoint ${index} is on a network that this node has not heard of yet`;
    const isEncrypted = attachments.some(
      ({ networkId }) => this.#plan?.around?.networks.get(networkId)?.encrypted,
    );
    if (isEncrypted && this.#tunnelProblem !== '')
      return `the encrypted way to other nodes: ${this.#tunnelProblem}`;
    return devices
      .map((device) => this.#failedLinks.get(device))
      .find((each) => each !== undefined);
  }
  async #removeNamespace(taskId: string): Promise<void> {
    const name = taskNamespace(this.#deps.short, taskId);
    if (this.#deps.io.stat(this.namespacePath(taskId)) === undefined) return;
    const said = await this.#removal.remove(name);
    if (this.#deps.io.stat(this.namespacePath(taskId)) !== undefined)
      throw new RuntimeError('IO', `can't remove ${name}: ${said}`, true);
  }

  async #work(look: boolean): Promise<'well' | 'unwell' | 'held'> {
    const { log } = this.#deps;
    // The first rows bring a pass that looks.
    if (this.#isWaiting) return 'held';
    const before = this.#problems;
    const index = this.#overlayIndex;
    try {
      const done = await this.#bring(look);
      if (look && done.repaired > 0)
        log.info({ repaired: done.repaired }, 'the network differed from what it should be');
    } catch (error) {
      this.#problem = messageOf(error);
    }
    if (this.#problems !== '' && this.#problems !== before)
      log.warn({ problem: this.#problems }, 'the network is not as it should be');
    if (this.#problem === '') for (const fn of this.#settledFns) fn(index);
    return this.#problems === '' && this.#failedLinks.size === 0 ? 'well' : 'unwell';
  }
  async #bring(look: boolean): Promise<Done> {
    const { nodeId, short, tunnelKeys } = this.#deps;
    const plan = this.#planner.plan({
      nodeId,
      short,
      names: this.names,
      endpoints: this.endpoints,
      overlay: this.#overlay,
      tunnelKeys,
    });
    this.#plan = plan;
    const done = await this.#kernel.bring(plan, look);
    this.#failedLinks = done.failedLinks;
    this.#problem = done.problem;
    this.#tunnelProblem = done.tunnelProblem;
    if (look) this.#repaired = done.repaired;
    return done;
  }
  get #problems(): string {
    return this.#problem || this.#tunnelProblem;
  }
}
