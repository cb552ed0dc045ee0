import { createSocket } from 'node:dgram';
import { Resolver } from 'node:dns/promises';
import { connect, createServer, type Socket } from 'node:net';
import { createInterface } from 'node:readline';

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
      socket.on('message', (_, from) => {
        socket.send(`${name} ${from.address}`, from.port, from.address);
      });
      await new Promise<void>((resolve) => socket.bind(port, () => resolve()));
    }
  },
  tcp: (host: string, port: number) => ask(connect(port, host)),
  async hold(key: string, host: string, port: number) {
    const socket = connect(port, host);
    held.set(key, socket);
    return say(socket);
  },
  say: (key: string) => say(held.get(key)!),
  async drop(key: string) {
    held.get(key)?.destroy();
    held.delete(key);
  },
  udp: (host: string, port: number, count = 1, from = 0) => udp(host, port, count, from),
  async resolve(host: string, type = 'A', server = '127.0.0.11') {
    const resolver = new Resolver({ timeout: 1_000, tries: 2 });
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

async function udp(host: string, port: number, count: number, from: number): Promise<string[]> {
  const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
  await new Promise<void>((resolve) => socket.bind(from, () => resolve()));
  const answers: string[] = [];
  for (let at = 0; at < count; at++) {
    answers.push(
      await new Promise<string>((resolve) => {
        const timer = setTimeout(() => resolve('nothing'), 1_000);
        socket.once('message', (message) => {
          clearTimeout(timer);
          resolve(message.toString());
        });
        socket.send('?', port, host, (error) => {
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
