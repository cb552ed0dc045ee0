import { createServer } from 'node:net';
import { Protocol } from '../proto/index.ts';
import { messageOf, SwarmError } from '../shared/errors.ts';
import { portOwner } from '../worker/network/netd/port-owner.ts';
import { formatHostPort, parseHostPort } from './address.ts';

/** Refuses with PORT_TAKEN, naming who has it where that may be seen. */
export async function checkPortFree(address: string): Promise<void> {
  const { host, port } = parseHostPort(address);
  const server = createServer();
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host, port, exclusive: true }, resolve);
    });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') {
      throw new SwarmError('INVALID_ARGUMENT', `cannot listen on ${address}: ${messageOf(error)}`);
    }
    const owner = await portOwner(Protocol.TCP, host, port);
    throw new SwarmError(
      'PORT_TAKEN',
      `${formatHostPort({ host, port })} is taken${owner ? ` by ${owner}` : ''}`,
      {
        advice:
          "Choose another with --listen-addr HOST:PORT; 2377 is also the port of Docker's own Swarm.",
      },
    );
  } finally {
    server.close();
  }
}
