import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { createServer, type Server } from 'node:net';
import { GATEWAY } from '../router/names.ts';

/** The argument with which netd's own program opens sockets and nothing else. */
export const OPEN_SOCKETS = '--open-name-sockets';

export interface OpenSocketsMessage {
  readonly kind: 'udp' | 'tcp' | 'failed';
  readonly reason?: string;
}

/** The end of Node's IPC that a helper has: `process`. */
export interface OpenSocketsChannel {
  send?(message: OpenSocketsMessage, handle: unknown, options: object, done: () => void): unknown;
  /** `message`: what was sent is taken. `disconnect`: nobody is there any more. */
  once(event: 'message' | 'disconnect', fn: () => void): unknown;
}

/** Queries that wait in the kernel while netd does something else. */
const WAITING_BYTES = 1 << 20;
const CONNECTIONS_WAITING = 128;

/**
 * What a helper does that was started in the network where names are asked for: a process cannot
 * leave its network, but its sockets can. Opens both, passes them on, and keeps none: a query that
 * came to it would be lost.
 */
export async function openNameSockets(
  channel: OpenSocketsChannel,
  address = GATEWAY,
  port = 53,
): Promise<void> {
  const udp = createSocket({ type: 'udp4', recvBufferSize: WAITING_BYTES });
  const tcp = createServer();
  try {
    await pass(channel, 'udp', udp, (done) => udp.bind({ address, port, exclusive: true }, done));
    const place = { host: address, port, exclusive: true, backlog: CONNECTIONS_WAITING };
    await pass(channel, 'tcp', tcp, (done) => tcp.listen(place, done));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    await new Promise<void>((resolve) => {
      channel.send?.({ kind: 'failed', reason }, undefined, {}, resolve);
    });
  }
}

/** In one go, so that no query is read here between the opening and the closing. */
function pass(
  channel: OpenSocketsChannel,
  kind: 'udp' | 'tcp',
  socket: UdpSocket | Server,
  open: (done: () => void) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    channel.once('message', resolve);
    channel.once('disconnect', resolve);
    open(() => channel.send?.({ kind }, socket, {}, () => socket.close()));
  });
}
