import { createSocket } from 'node:dgram';
import type { Clock, Timer } from '../../shared/clock.ts';

/** What a probe is told to do, as JSON. */
export interface ProbeOrder {
  readonly address: string;
  readonly port: number;
  /** Packet sizes in bytes, with the headers of IPv4 and UDP. */
  readonly sizes: readonly number[];
  readonly peers: readonly string[];
  readonly durationMs: number;
}
/** Peer -> sizes that arrived there. */
export interface ProbeResult {
  readonly answered: { readonly [peer: string]: readonly number[] };
}

const HEADERS = 28;
const AGAIN_MS = 250;
const ASK = 1;
const ANSWER = 2;

/**
 * Sends datagrams of some sizes to the routers of other nodes and answers theirs. Whole ones: the
 * kernel takes none apart that fits its own device. An answer is small and says what size arrived.
 */
export async function serveProbes(order: string, clock: Clock): Promise<number> {
  const { address, port, sizes, peers, durationMs } = JSON.parse(order) as ProbeOrder;
  const answered = new Map(peers.map((peer) => [peer, new Set<number>()]));
  const socket = createSocket('udp4');
  socket.on('error', () => undefined);
  socket.on('message', (bytes, from) => {
    if (bytes.length < 3) return;
    if (bytes[0] === ANSWER) answered.get(from.address)?.add(bytes.readUInt16BE(1));
    if (bytes[0] !== ASK) return;
    const answer = Buffer.from([ANSWER, 0, 0]);
    answer.writeUInt16BE(bytes.length + HEADERS, 1);
    socket.send(answer, port, from.address, () => undefined);
  });
  const isBound = await new Promise<boolean>((resolve) => {
    socket.once('error', () => resolve(false));
    socket.bind(port, address, () => resolve(true));
  });
  if (!isBound) {
    process.stderr.write(`nothing can be received at ${address}:${port}\n`);
    return 1;
  }
  const ask = (): void => {
    for (const [peer, got] of answered)
      for (const size of sizes)
        if (!got.has(size)) {
          const bytes = Buffer.alloc(size - HEADERS);
          bytes[0] = ASK;
          socket.send(bytes, port, peer, () => undefined);
        }
  };
  let timer: Timer;
  const askAgain = (): void => {
    ask();
    timer = clock.setTimer(AGAIN_MS, askAgain);
  };
  askAgain();
  await new Promise<void>((resolve) => {
    clock.setTimer(durationMs, resolve);
  });
  timer!.cancel();
  socket.close();
  const result: ProbeResult = {
    answered: Object.fromEntries([...answered].map(([peer, got]) => [peer, [...got]])),
  };
  process.stdout.write(`${JSON.stringify(result)}\n`);
  return 0;
}
