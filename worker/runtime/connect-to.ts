import { connect, type Socket } from 'node:net';
import { RuntimeError } from '../runtime.ts';

/** Resolves when it is connected. Throws RuntimeError REFUSED. */
export function connectTo(host: string, port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, allowHalfOpen: true });
    socket.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        new RuntimeError('REFUSED', `nothing answers at port ${port}: ${error.code}`, false, error),
      ),
    );
    socket.once('connect', () => {
      socket.removeAllListeners('error');
      socket.on('error', () => undefined);
      resolve(socket);
    });
  });
}
