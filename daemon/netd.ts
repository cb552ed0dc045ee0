import { OPEN_SOCKETS, openNameSockets } from '../worker/network/names/open-sockets.ts';

/** Main of `netd`, and of the helper that opens sockets for it, which loads no more than it needs. */
const [, program = '', ...given] = process.argv;
if (given[0] === OPEN_SOCKETS) await openNameSockets(process as never);
else {
  const { serveNetd } = await import('./netd-serve.ts');
  await serveNetd(program, given);
}
process.exit(0);
