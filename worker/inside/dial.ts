import { connect, type Socket } from 'node:net';

/** What the daemon asks for. The hosts are tried in this order. */
export interface DialOrder {
  readonly id: number;
  readonly hosts: readonly string[];
  readonly port: number;
}
/** `error`: a code such as ECONNREFUSED; empty: the connection comes with the answer. */
export interface DialAnswer {
  readonly id: number;
  readonly error: string;
}

/** The channel to the daemon, as Node.js gives it to a child. */
export interface DaemonChannel {
  on(event: 'message', fn: (order: DialOrder) => void): unknown;
  send?(answer: DialAnswer, socket?: Socket, options?: object, done?: () => void): unknown;
}

/** Ends with the channel. */
export function serveDials(channel: DaemonChannel): void {
  channel.on('message', (order) => void dial(channel, order));
}

async function dial(channel: DaemonChannel, { id, hosts, port }: DialOrder): Promise<void> {
  let error = 'EHOSTUNREACH';
  for (const host of hosts) {
    const result = await attempt(host, port);
    if (typeof result !== 'string') {
      // Kept until it has been sent; from then on it is the daemon's alone.
      channel.send?.({ id, error: '' }, result, {}, () => undefined);
      return;
    }
    error = result;
  }
  channel.send?.({ id, error });
}

/** The connection, of which nothing has been read, or why there is none. */
function attempt(host: string, port: number): Promise<Socket | string> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, allowHalfOpen: true });
    socket.pause();
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    socket.once('connect', () => resolve(socket));
  });
}
