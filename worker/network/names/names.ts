import type { Socket as UdpSocket } from 'node:dgram';
import type { Server } from 'node:net';
import type { NetdNames } from '../../../proto/index.ts';
import type { Clock } from '../../../shared/clock.ts';
import type { Log } from '../../../shared/log.ts';
import type { Random } from '../../../shared/random.ts';
import { Forwarder } from './forwarder.ts';
import { HostResolvers } from './host-resolvers.ts';
import { NameServer } from './name-server.ts';
import { RouterSockets } from './router-sockets.ts';

export interface NamesDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Starts netd's own program, which then opens sockets in the network that it is started in. */
  readonly helper: { readonly execPath: string; readonly args: readonly string[] };
}

const DNS_PORT = 53;
/** Before the socket's kind and place, in the name under which it is handed over. */
const HANDED = /^names (udp|tcp) (.+)$/;

/** The resolver of a node: sockets in its router, answers from rows, all else from other resolvers. */
export class Names {
  readonly #server: NameServer;
  readonly #sockets: RouterSockets;
  #adoptedUdp: UdpSocket | undefined;

  constructor({ clock, random, log, helper }: NamesDeps) {
    this.#server = new NameServer({
      clock,
      forwarder: new Forwarder({ clock, random, port: DNS_PORT }),
      resolvers: new HostResolvers(clock),
    });
    this.#sockets = new RouterSockets({
      clock,
      log,
      helper,
      onSockets: (sockets) => {
        if (sockets === undefined) this.#server.closeSockets();
        else this.#server.use(sockets);
      },
    });
  }
  take(names: NetdNames): void {
    this.#server.take(names);
    this.#sockets.follow(names.router);
  }
  /** What a successor goes on with. */
  handed(): readonly { readonly key: string; readonly handle: unknown }[] {
    const { opened } = this.#sockets;
    const { sockets } = this.#server;
    if (opened === undefined || sockets === undefined) return [];
    return [
      { key: `names udp ${opened}`, handle: sockets.udp },
      { key: `names tcp ${opened}`, handle: sockets.tcp },
    ];
  }
  /** True: it was a socket for names, and is used from now on. */
  adopt(key: string, handle: unknown): boolean {
    const [, kind, opened] = HANDED.exec(key) ?? [];
    if (kind === undefined || opened === undefined) return false;
    if (kind === 'udp') this.#adoptedUdp = handle as UdpSocket;
    else if (this.#adoptedUdp !== undefined)
      this.#sockets.adopt(opened, { udp: this.#adoptedUdp, tcp: handle as Server });
    return true;
  }
  close(): void {
    this.#sockets.close();
    this.#server.closeSockets();
  }
}
