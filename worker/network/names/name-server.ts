import type { Socket as UdpSocket } from 'node:dgram';
import type { Server, Socket } from 'node:net';
import type { NetdNames } from '../../../proto/index.ts';
import type { Clock, Timer } from '../../../shared/clock.ts';
import { LIMITS } from '../../../shared/limits.ts';
import { answerCode } from './answer.ts';
import { type Client, Clients } from './clients.ts';
import type { Forwarder } from './forwarder.ts';
import type { HostResolvers } from './host-resolvers.ts';
import { CODE, HEADER_BYTES } from './message.ts';
import { NameTable } from './name-table.ts';
import { type Forward, Responder, type Transport } from './responder.ts';
import { framed, TcpMessages } from './tcp-messages.ts';

export interface NameServerDeps {
  readonly clock: Clock;
  readonly forwarder: Forwarder;
  readonly resolvers: Pick<HostResolvers, 'list'>;
}

/** The two sockets that names are asked for on. */
export interface NameSockets {
  readonly udp: UdpSocket;
  readonly tcp: Server;
}

/** Answers tasks of this node on sockets that were opened for it. */
export class NameServer {
  readonly #deps: NameServerDeps;
  readonly #table = new NameTable();
  readonly #clients = new Clients();
  readonly #responder = new Responder(this.#table);
  readonly #connections = new Map<Socket, string>();
  #sockets: NameSockets | undefined;
  /** Until the first names have come; then undefined. */
  #held: (() => void)[] | undefined = [];

  constructor(deps: NameServerDeps) {
    this.#deps = deps;
  }
  get sockets(): NameSockets | undefined {
    return this.#sockets;
  }
  take(names: NetdNames): void {
    if (names.complete) {
      this.#table.clear();
      this.#clients.clear();
    }
    for (const id of names.removedServices) this.#table.removeService(id);
    for (const row of names.services) this.#table.putService(row);
    for (const id of names.removedNetworks) this.#table.removeNetwork(id);
    for (const row of names.networks) this.#table.putNetwork(row);
    for (const id of names.removedClients) this.#clients.remove(id);
    for (const row of names.clients) this.#clients.put(row);
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const ask of held) ask();
  }
  /** Answers on these from now on, and no more on those before. */
  use(sockets: NameSockets): void {
    this.closeSockets();
    this.#sockets = sockets;
    const { udp, tcp } = sockets;
    udp.on('error', () => undefined);
    udp.on('message', (packet, from) => {
      this.#ask(packet, from.address, 'udp', (answer) => {
        // Its socket may be another by the time that a resolver has answered.
        if (this.#sockets === sockets) udp.send(answer, from.port, from.address);
      });
    });
    tcp.on('error', () => undefined);
    tcp.on('connection', (socket: Socket) => this.#accept(socket));
  }
  closeSockets(): void {
    const sockets = this.#sockets;
    this.#sockets = undefined;
    for (const socket of this.#connections.keys()) socket.destroy();
    if (sockets === undefined) return;
    sockets.udp.removeAllListeners('message');
    sockets.udp.close();
    sockets.tcp.removeAllListeners('connection');
    sockets.tcp.close();
  }

  #ask(packet: Buffer, from: string, by: Transport, say: (answer: Buffer) => void): void {
    if (this.#held !== undefined) {
      if (this.#held.length < LIMITS.nameQueriesHeldMax)
        this.#held.push(() => this.#ask(packet, from, by, say));
      return;
    }
    const client = this.#clients.get(from);
    const answer = this.#responder.respond(packet, client, by);
    if (answer instanceof Uint8Array) say(answer);
    else if (answer !== undefined && client !== undefined)
      void this.#forward(packet, answer, client, by).then(say);
  }
  async #forward(
    packet: Buffer,
    { query }: Forward,
    client: Client,
    by: Transport,
  ): Promise<Buffer> {
    const { forwarder, resolvers } = this.#deps;
    const servers = client.dns.length > 0 ? client.dns : resolvers.list();
    const answer = await forwarder.ask(packet, servers, by, client.taskId);
    return answer ?? answerCode(packet, CODE.SERVFAIL, query.end, query.hasEdns);
  }

  #accept(socket: Socket): void {
    const from = (socket.remoteAddress ?? '').replace(/^::ffff:/, '');
    const own = [...this.#connections.values()].filter((each) => each === from).length;
    socket.on('error', () => undefined);
    if (
      this.#connections.size >= LIMITS.nameConnectionsMax ||
      own >= LIMITS.nameConnectionsOfTaskMax
    ) {
      socket.destroy();
      return;
    }
    this.#connections.set(socket, from);
    let idle: Timer | undefined;
    const armed = (): void => {
      idle?.cancel();
      idle = this.#deps.clock.setTimer(LIMITS.nameConnectionIdleMs, () => socket.destroy());
    };
    armed();
    socket.on('close', () => {
      idle?.cancel();
      this.#connections.delete(socket);
    });
    const messages = new TcpMessages((packet) => {
      if (packet.length < HEADER_BYTES) return void socket.destroy();
      armed();
      this.#ask(packet, from, 'tcp', (answer) => {
        if (socket.writableLength > LIMITS.nameUnsentBytesMax) socket.destroy();
        else if (socket.writable) socket.write(framed(answer));
      });
    });
    socket.on('data', (chunk) => messages.push(chunk));
  }
}
