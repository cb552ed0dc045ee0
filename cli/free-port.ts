import { createServer } from 'node:net';
import { SwarmError } from '../shared/errors.ts';

/** The first TCP port from `from` on, of a hundred, that can be listened on at `address`. */
export async function freePort(address: string, from: number): Promise<number> {
  for (let port = from; port < Math.min(from + 100, 65_536); port++)
    if (await canListen(address, port)) return port;
  throw new SwarmError('PORT_TAKEN', `On ${address} the ports from ${from} on are all taken.`);
}

export function canListen(address: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ host: address, port, exclusive: true }, () =>
      server.close(() => resolve(true)),
    );
  });
}
