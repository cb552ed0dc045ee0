import { createSocket } from 'node:dgram';
import { Resolver } from 'node:dns/promises';
import { connect, createServer, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { SeededRandom } from '../../../shared/random.ts';
import { answerMissing, answerWith } from '../../../worker/network/names/answer.ts';
import { readQuery, TYPE } from '../../../worker/network/names/message.ts';
import { framed, TcpMessages } from '../../../worker/network/names/tcp-messages.ts';

/**
 * What runs in a container of these tests: servers that answer with their name and the address of who
 * asks, and clients. One JSON line in is one call, one JSON line out its answer.
 */
type Call = { readonly id: number; readonly call: string; readonly args: readonly unknown[] };

const name = process.argv[2]!;
const held = new Map<string, Socket>();
const WAIT_MS = 3_000;

const calls: { readonly [call: string]: (...args: never[]) => Promise<unknown> } = {
  async serve(port: number) {
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.on('data', () => socket.write(`${name} ${plain(socket.remoteAddress)}\n`));
    });
    await new Promise<void>((resolve) => server.listen(port, '::', resolve));
    for (const type of ['udp4', 'udp6'] as const) {
      const socket = createSocket({ type, ipv6Only: type === 'udp6' });
      socket.on('message', (message, from) => {
        const what = message.length > 1 ? message.length : from.address;
        socket.send(`${name} ${what}`, from.port, from.address);
      });
      await new Promise<void>((resolve) => socket.bind(port, () => resolve()));
    }
  },
  tcp: (host: string, port: number) => ask(connect(port, host)),
  /**
   * How many connections could be opened, asked on and reset, eight at once. One that is closed in
   * order keeps its port for a minute: who opens thousands a second soon only looks for a free one.
   */
  async connections(host: string, port: number, forMs: number) {
    const endMs = performance.now() + forMs;
    let count = 0;
    const one = async (): Promise<void> => {
      while (performance.now() < endMs) {
        const socket = connect(port, host);
        const answer = await say(socket);
        socket.resetAndDestroy();
        if (/^(nothing|closed|E[A-Z]+)$/.test(answer)) throw new Error(`${count}: ${answer}`);
        count++;
      }
    };
    await Promise.all(Array.from({ length: 8 }, one));
    return count;
  },
  async hold(key: string, host: string, port: number, localPort = 0) {
    const socket = connect({ port, host, localPort });
    held.set(key, socket);
    return say(socket);
  },
  say: (key: string) => say(held.get(key)!),
  async drop(key: string) {
    held.get(key)?.destroy();
    held.delete(key);
  },
  udp: (host: string, port: number, count = 1, from = 0) => udp(host, port, count, from),
  /** One datagram of so many bytes, larger than what a link takes: who got it, and how much of it. */
  large: async (host: string, port: number, bytes: number) =>
    (await udp(host, port, 1, 0, '?'.repeat(bytes)))[0],
  /** Datagrams and streams of random bytes to a resolver. */
  async garbage(host: string, count: number) {
    const random = new SeededRandom(7);
    const udp = createSocket('udp4');
    for (let n = 0; n < count; n++) {
      const bytes = Buffer.from(random.bytes(1 + random.below(600)));
      if (n % 2 === 0 && bytes.length > 12) bytes.set([0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0], 0);
      await new Promise<void>((resolve) => udp.send(bytes, 53, host, () => resolve()));
      if (n % 20 > 0) continue;
      const tcp = connect(53, host);
      tcp.on('error', () => undefined);
      await new Promise<void>((resolve) => tcp.once('connect', resolve));
      tcp.end(bytes);
    }
    udp.close();
  },
  /** A resolver of the world outside: knows `*.example`, and `many.example` with 100 addresses. */
  async resolver(address: string, number: number) {
    const answers = (packet: Buffer, bytesMax: number): Buffer => {
      const reading = readQuery(packet);
      if (!reading.ok) return Buffer.alloc(0);
      const { query } = reading;
      if (!query.name.endsWith('.example')) return answerMissing(packet, query);
      const count = query.name === 'many.example' ? 100 : 1;
      const values = Array.from({ length: count }, (_, at) => Buffer.of(203, 0, number, 1 + at));
      const sets = query.type === TYPE.A ? [{ type: TYPE.A, values }] : [];
      return answerWith(packet, query, sets, 0, bytesMax);
    };
    const udp = createSocket('udp4');
    udp.on('message', (packet, from) => udp.send(answers(packet, 512), from.port, from.address));
    await new Promise<void>((resolve) => udp.bind(53, address, resolve));
    const tcp = createServer((socket) => {
      const messages = new TcpMessages((packet) => socket.write(framed(answers(packet, 65_535))));
      socket.on('data', (chunk) => messages.push(chunk));
      socket.on('error', () => undefined);
    });
    await new Promise<void>((resolve) => tcp.listen(53, address, resolve));
  },
  async resolve(host: string, type = 'A', server = '127.0.0.11', timeout = 1_000) {
    const resolver = new Resolver({ timeout, tries: 2 });
    resolver.setServers([server]);
    try {
      if (type === 'PTR') return (await resolver.reverse(host)).sort();
      return ((await resolver.resolve(host, type as 'A')) as string[]).sort();
    } catch (error) {
      return (error as { code: string }).code;
    }
  },
};

function plain(address: string | undefined): string {
  return (address ?? '').replace(/^::ffff:/, '');
}

async function ask(socket: Socket): Promise<string> {
  try {
    return await say(socket);
  } finally {
    socket.destroy();
  }
}

function say(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    const end = (text: string): void => {
      clearTimeout(timer);
      socket.removeAllListeners();
      socket.on('error', () => undefined);
      resolve(text);
    };
    const timer = setTimeout(() => end('nothing'), WAIT_MS);
    socket.once('data', (chunk) => end(chunk.toString().trim()));
    socket.once('error', (error) => end((error as { code?: string }).code ?? 'error'));
    socket.once('close', () => end('closed'));
    socket.write('?');
  });
}

async function udp(
  host: string,
  port: number,
  count: number,
  from: number,
  text = '?',
): Promise<string[]> {
  const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
  await new Promise<void>((resolve) => socket.bind(from, () => resolve()));
  const answers: string[] = [];
  for (let at = 0; at < count; at++) {
    answers.push(
      await new Promise<string>((resolve) => {
        const timer = setTimeout(() => resolve('nothing'), 1_000);
        socket.once('message', (message, sender) => {
          clearTimeout(timer);
          // Who was not asked may not answer.
          resolve(sender.address === host ? message.toString() : `from ${sender.address}`);
        });
        socket.send(text, port, host, (error) => {
          if (error) resolve((error as { code?: string }).code ?? 'error');
        });
      }),
    );
    socket.removeAllListeners('message');
  }
  socket.close();
  return answers;
}

createInterface({ input: process.stdin }).on('line', (line) => {
  const { id, call, args } = JSON.parse(line) as Call;
  calls[call]!(...(args as never[])).then(
    (answer) => process.stdout.write(`${JSON.stringify({ id, answer })}\n`),
    (error: Error) => process.stdout.write(`${JSON.stringify({ id, error: error.message })}\n`),
  );
});
process.stdin.on('end', () => process.exit(0));
process.stdout.write('{"id":0}\n');
