import type { Socket } from 'node:net';

/**
 * Passes bytes both ways between two connected sockets that were opened with `allowHalfOpen`: an end
 * on one side is an end on the other and no more, a reset is a reset, and a slow reader slows the
 * writer down. There is no idle timeout. `onClosed` is called once, when both are closed.
 */
export function splice(client: Socket, backend: Socket, onClosed: () => void): void {
  let open = 2;
  const closed = (): void => {
    open--;
    if (open === 0) onClosed();
  };
  forward(client, backend, closed);
  forward(backend, client, closed);
}

function forward(from: Socket, to: Socket, closed: () => void): void {
  from.on('data', (chunk: Buffer) => {
    if (!to.write(chunk)) from.pause();
  });
  to.on('drain', () => from.resume());
  from.on('end', () => to.end());
  from.on('error', () => {
    // What was said before the reset is still worth hearing.
    if (to.writableLength > 0) to.destroySoon();
    else to.resetAndDestroy();
  });
  from.on('close', () => {
    if (!from.readableEnded && !to.destroyed && to.writableLength === 0) to.destroy();
    closed();
  });
}
