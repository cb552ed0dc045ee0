import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { type PortBinding, type PortConfig, Protocol } from '../../../proto/index.ts';
import type { Clock } from '../../../shared/clock.ts';
import { LIMITS } from '../../../shared/limits.ts';
import type { Random } from '../../../shared/random.ts';
import type { Io } from '../../io.ts';
import { RuntimeError } from '../../runtime.ts';
import { readPrepared } from './run-files.ts';

/** A reservation without a task behind it is somebody's who is just preparing one, for this long. */
const PREPARING_MS = 60_000;
const ATTEMPTS_MAX = 400;

/** Tells whether an address can be listened on now. */
export type BindProbe = (protocol: Protocol, host: string, port: number) => Promise<string>;

export interface PortsDeps {
  readonly io: Io;
  readonly clock: Clock;
  readonly random: Random;
  /** Shared by all daemons of this user on the machine. */
  readonly directory: string;
  readonly runDirectory: string;
  readonly boot: string;
  readonly uid: number;
  readonly probe?: BindProbe;
}

export interface Reservation {
  /** What the task should listen on: `host`, or every address where that is not this machine's. */
  readonly listenHost: string;
  readonly ports: readonly PortBinding[];
}

/**
 * Task ports, reserved on the machine between several daemons: one symbolic link an address, whose
 * target names the task and the boot. Making it is one atomic step.
 */
export class Ports {
  readonly #deps: PortsDeps;
  readonly #probe: BindProbe;

  constructor(deps: PortsDeps) {
    this.#deps = deps;
    this.#probe = deps.probe ?? bindProbe;
  }
  /** Frees what an earlier daemon of this state directory reserved and never used. */
  open(): void {
    const { io, directory, uid, runDirectory } = this.#deps;
    io.mkdir(directory);
    const stat = io.stat(directory);
    if (!stat?.directory || stat.uid !== uid || (stat.mode & 0o077) !== 0) {
      throw new RuntimeError(
        'PORT',
        `${directory} belongs to another user or is open to others: remove it, it is made anew`,
      );
    }
    for (const name of io.list(directory)) {
      const lock = this.#read(name);
      if (lock?.base.startsWith(`${runDirectory}/`) && !this.#claims(lock, name)) {
        io.unlink(join(directory, name));
      }
    }
  }
  /** One task port for every target, TCP and UDP alike. Throws RuntimeError PORT. */
  async reserve(taskId: string, host: string, wanted: readonly PortConfig[]): Promise<Reservation> {
    let listenHost = host;
    const ports: PortBinding[] = [];
    for (const target of new Set(wanted.map((port) => port.target))) {
      const protocols = new Set(wanted.filter((p) => p.target === target).map((p) => p.protocol));
      const found = await this.#find(taskId, host, [...protocols]);
      listenHost = found.listenHost;
      for (const protocol of protocols) ports.push({ protocol, target, host, port: found.port });
    }
    return { listenHost, ports };
  }
  /** Called with the ports that a task had; freed already: nothing happens. */
  release(taskId: string, ports: readonly PortBinding[]): void {
    for (const { host, port } of ports) {
      const name = lockName(host, port);
      if (this.#read(name)?.base === join(this.#deps.runDirectory, taskId)) {
        this.#deps.io.unlink(join(this.#deps.directory, name));
      }
    }
  }
  async #find(
    taskId: string,
    host: string,
    protocols: readonly Protocol[],
  ): Promise<{ port: number; listenHost: string }> {
    const { io, random, directory, runDirectory, boot } = this.#deps;
    const target = `${join(runDirectory, taskId)}#${boot}`;
    const count = LIMITS.taskPortMax - LIMITS.taskPortMin + 1;
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const port = LIMITS.taskPortMin + random.below(count);
      const path = join(directory, lockName(host, port));
      if (!io.symlink(target, path)) {
        this.#reclaim(lockName(host, port));
        continue;
      }
      const listenHost = await this.#bindable(protocols, host, port);
      if (listenHost !== undefined) return { port, listenHost };
      io.unlink(path);
    }
    throw new RuntimeError(
      'PORT',
      `no free port between ${LIMITS.taskPortMin} and ${LIMITS.taskPortMax} on ${host}`,
      true,
    );
  }
  async #bindable(
    protocols: readonly Protocol[],
    host: string,
    port: number,
  ): Promise<string | undefined> {
    let listenHost = host;
    for (const protocol of protocols) {
      let error = await this.#probe(protocol, listenHost, port);
      if (error === 'EADDRNOTAVAIL' || error === 'ENOTFOUND') {
        listenHost = '0.0.0.0';
        error = await this.#probe(protocol, listenHost, port);
      }
      if (error !== '') return undefined;
    }
    return listenHost;
  }
  /** Frees a lock whose task is gone. Two daemons may do this at once. */
  #reclaim(name: string): void {
    const { io, directory } = this.#deps;
    const lock = this.#read(name);
    if (!lock || this.#claims(lock, name)) return;
    const aside = join(directory, `${name}.stale-${this.#deps.random.below(2 ** 32)}`);
    try {
      io.rename(join(directory, name), aside);
    } catch {
      return;
    }
    // Another daemon was faster and this is already its new lock: back with it.
    const moved = io.readLink(aside)?.target;
    if (moved !== undefined && moved !== lock.target) io.symlink(moved, join(directory, name));
    io.unlink(aside);
  }
  #read(name: string): Lock | undefined {
    const link = this.#deps.io.readLink(join(this.#deps.directory, name));
    if (!link) return undefined;
    const at = link.target.lastIndexOf('#');
    const [base, boot] = [link.target.slice(0, at), link.target.slice(at + 1)];
    return { target: link.target, base, boot, ageMs: this.#deps.clock.wallMs() - link.mtimeMs };
  }
  #claims(lock: Lock, name: string): boolean {
    const { io, boot, runDirectory } = this.#deps;
    if (lock.boot !== boot) return false;
    const prepared = readPrepared(io, lock.base);
    if (prepared) return prepared.ports.some((port) => lockName(port.host, port.port) === name);
    return !lock.base.startsWith(`${runDirectory}/`) && lock.ageMs < PREPARING_MS;
  }
}

interface Lock {
  readonly target: string;
  readonly base: string;
  readonly boot: string;
  readonly ageMs: number;
}

function lockName(host: string, port: number): string {
  return `${host.replaceAll(/[^0-9A-Za-z.-]/g, '_')}-${port}`;
}

/** Listens for an instant. Resolves with the error code, empty when it could. */
export function bindProbe(protocol: Protocol, host: string, port: number): Promise<string> {
  return new Promise((resolve) => {
    const codeOf = (error: Error): string => (error as { code?: string }).code ?? 'EUNKNOWN';
    if (protocol === Protocol.UDP) {
      const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
      socket.once('error', (error) => {
        socket.close();
        resolve(codeOf(error));
      });
      socket.bind(port, host, () => socket.close(() => resolve('')));
      return;
    }
    const server = createServer();
    server.once('error', (error) => resolve(codeOf(error)));
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve('')));
  });
}
