import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SystemClock } from '../../../shared/clock.ts';
import type { Log } from '../../../shared/log.ts';
import { SystemRandom } from '../../../shared/random.ts';
import { VERSION } from '../../../shared/version.ts';
import type { NetworkRows } from '../../../worker/network/network.ts';
import { OverlayNetwork } from '../../../worker/network/overlay-network.ts';
import { ProxyNetwork } from '../../../worker/network/proxy-network.ts';
import { ROOT } from '../../support/swarm.ts';
import type { Routers } from './routers.ts';

/** The address of the resolver that programs of a host ask, as systemd-resolved's. */
export const HOST_RESOLVER = '127.0.0.53';

/** What the agent of each host has: its router, and a netd of its own in the host's network. */
export class Resolvers {
  readonly #routers: Routers;
  readonly #directory = mkdtempSync(join(tmpdir(), 'names-'));
  readonly #networks: OverlayNetwork[] = [];
  readonly #pids = new Map<number, number>();
  readonly #waiting: { host: number; index: number; done: () => void }[] = [];
  readonly #applied = new Map<number, number>();
  #index = 0;

  constructor(routers: Routers) {
    this.#routers = routers;
    writeFileSync(join(this.#directory, 'resolv.conf'), `nameserver ${HOST_RESOLVER}\n`);
    for (const [at] of routers.hosts.names.entries()) this.#networks.push(this.#network(at + 1));
  }
  async start(): Promise<void> {
    for (const network of this.#networks) await network.start();
  }
  /** Gives rows to every node, or to these. Resolves when they are in effect there. */
  async apply(
    rows: Partial<Omit<NetworkRows, 'index'>>,
    to = this.#networks.map((_, at) => at + 1),
  ): Promise<void> {
    Object.assign(this.#routers.rows, rows);
    const index = ++this.#index;
    await Promise.all(
      to.map((host) => {
        const done = new Promise<void>((resolve) => {
          this.#waiting.push({ host, index, done: resolve });
        });
        this.#networks[host - 1]!.apply({ ...this.#routers.rows, index });
        return done;
      }),
    );
  }
  /** The netd of a host, once it is there and is not this one. */
  async netd(host: number, before = 0): Promise<number> {
    for (;;) {
      const pid = this.#pids.get(host) ?? 0;
      if (pid !== 0 && pid !== before) return pid;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
  async end(): Promise<void> {
    for (const network of this.#networks) await network.destroy();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #network(host: number): OverlayNetwork {
    const clock = new SystemClock();
    const stateDir = mkdtempSync(join(this.#directory, `${host}-`));
    const resolv = join(this.#directory, 'resolv.conf');
    // Its own file, and the machine's namespaces as they come and go.
    const inside = `mount --bind ${resolv} /etc/resolv.conf && exec "$@"`;
    const script = join(ROOT, 'dist', 'daemon', 'netd.js');
    const proxy = new ProxyNetwork({
      stateDir,
      nodeId: this.#routers.nodeId(host),
      publishAddress: '',
      versionText: VERSION,
      netd: {
        execPath: 'nsenter',
        args: [
          `--net=/run/netns/${this.#routers.hosts.name(host)}`,
          ...['unshare', '-m', '--propagation', 'slave', 'sh', '-c', inside, 'sh'],
          ...[process.execPath, script],
        ],
      },
      clock,
      random: new SystemRandom(),
      log: this.#log(host),
    });
    const router = this.#routers.routers[host - 1]!;
    const network = new OverlayNetwork({ proxy, router, clock, publishAddress: '' });
    network.onApplied((index) => {
      this.#applied.set(host, index);
      for (const each of this.#waiting) if (each.host === host && each.index <= index) each.done();
    });
    return network;
  }
  #log(host: number): Log {
    const note = (fields: object, message: string): void => {
      if (message === 'connected to netd')
        this.#pids.set(host, (fields as { readonly pid: number }).pid);
    };
    const log: Log = { debug: note, info: note, warn: note, error: note, child: () => log };
    return log;
  }
}
