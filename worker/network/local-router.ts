import { type PortBinding, Protocol } from '../../proto/index.ts';
import { LIMITS } from '../../shared/limits.ts';
import type { Io } from '../runtime/io.ts';
import { RuntimeError } from '../runtime/runtime.ts';
import { attachScript, destroyScript, detachScript, routerScript } from './local-router-script.ts';

export interface LocalRouterDeps {
  readonly io: Io;
  /** First 8 characters of the node id: whatever is made here is named after it. */
  readonly short: string;
}

/** Where one container is on this node's own network. */
export interface LocalEndpoint {
  readonly taskId: string;
  /** Counts the containers of the node: names its address and its device. */
  readonly index: number;
  /** Task port → port in the container. */
  readonly ports: readonly PortBinding[];
}

const RUN_MS = 30_000;

/**
 * The network of this node's containers: each has its own network namespace and a routed address
 * behind the node's router namespace. What goes out has the node's address; what comes in comes by a
 * task port, through the router. Addresses in here never leave the node.
 */
export class LocalRouter {
  readonly #io: Io;
  readonly #short: string;
  #address = '';

  constructor(deps: LocalRouterDeps) {
    this.#io = deps.io;
    this.#short = deps.short;
  }
  /** Builds the router, or takes up the one that is there. Throws RuntimeError UNSUPPORTED. */
  async open(): Promise<void> {
    const output = await this.#run(routerScript(this.#short), 'UNSUPPORTED');
    this.#address = /^router (\S+)$/m.exec(output)?.[1] ?? '';
  }
  /** Where the router answers for task ports; empty while it is not open. */
  get address(): string {
    return this.#address;
  }
  /** The path of a container's network namespace. */
  namespacePath(taskId: string): string {
    return `/run/netns/${this.#namespace(taskId)}`;
  }
  containerAddress(index: number): string {
    return addressOf(index);
  }
  /** Repeatable. */
  async attach(endpoint: LocalEndpoint): Promise<void> {
    const { taskId, index, ports } = endpoint;
    const elements = ports.map(
      (port) => `${protocolName(port)} . ${port.port} : ${addressOf(index)} . ${port.target}`,
    );
    const names = { short: this.#short, namespace: this.#namespace(taskId), index };
    await this.#run(attachScript({ ...names, address: addressOf(index), elements }), 'IO');
  }
  /** Gone already: nothing happens. */
  async detach(endpoint: LocalEndpoint): Promise<void> {
    const { taskId, index, ports } = endpoint;
    const keys = ports.map((port) => `${protocolName(port)} . ${port.port}`);
    const names = { short: this.#short, namespace: this.#namespace(taskId), index };
    await this.#run(detachScript({ ...names, keys }), 'IO');
  }
  /** Takes everything of this node's away; the containers are gone before. */
  async destroy(): Promise<void> {
    await this.#run(destroyScript(this.#short), 'IO');
    this.#address = '';
  }
  /** Task ids that have a network namespace here. */
  attached(): readonly string[] {
    const prefix = this.#namespace('');
    return this.#io
      .list('/run/netns')
      .filter((name) => name.startsWith(prefix))
      .map((name) => name.slice(prefix.length));
  }
  #namespace(taskId: string): string {
    return `swt-${this.#short}-${taskId}`;
  }
  async #run(script: string, code: 'UNSUPPORTED' | 'IO'): Promise<string> {
    const { code: exit, output } = await this.#io.run({
      command: '/bin/sh',
      // A daemon that was not started by a login shell may not have these.
      args: ['-c', `PATH="$PATH:/usr/sbin:/sbin"\n${script}`],
      timeoutMs: RUN_MS,
      outputBytesMax: 8_192,
    });
    if (exit === 0) return output;
    const text = output.trim().split('\n').at(-1) ?? '';
    throw new RuntimeError(code, `can't build the network of containers: ${text}`, code === 'IO');
  }
}

/** 198.18.0.0/15 is set aside for networks that nobody routes. The first address is the router's. */
function addressOf(index: number): string {
  if (index < 1 || index > LIMITS.containerAddressesMax) {
    throw new RuntimeError('RESOURCE', 'this node has no more addresses for containers', true);
  }
  const number = index + 1;
  return `198.18.${number >> 8}.${number & 255}`;
}

function protocolName({ protocol }: PortBinding): string {
  return protocol === Protocol.UDP ? 'udp' : 'tcp';
}
