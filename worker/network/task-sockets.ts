import { readFile } from 'node:fs/promises';

// LISTEN; ESTABLISHED, one that the program has not accepted yet included; SYN_RECV, which is about to
// be; and CLOSE_WAIT: the client has said all it will, and waits for the answer.
const LISTENING = '0A';
const OPEN = new Set(['01', '03', '08']);
// FIN_WAIT1, LAST_ACK, CLOSING: the program has said all it will, and the other end has yet to confirm it.
const UNCONFIRMED = new Set(['04', '09', '0B']);

/**
 * Connections that somebody opened to what listens in the network namespace of a process: those of
 * the loopback are nobody else's and do not count. Undefined where the process is not there.
 */
export async function countInbound(
  pid: number,
  read: (path: string) => Promise<string> = (path) => readFile(path, 'latin1'),
): Promise<number | undefined> {
  try {
    const [four, six] = await Promise.all([
      read(`/proc/${pid}/net/tcp`),
      // A kernel without IPv6 has no such file.
      read(`/proc/${pid}/net/tcp6`).catch(() => ''),
    ]);
    return inboundOf(`${four}\n${six}`);
  } catch {
    return undefined;
  }
}

/** Connections in the kernel's tables whose last bytes are on their way still. */
export function countUnconfirmed(text: string): number {
  return socketsIn(text).filter(
    ({ address, state }) => UNCONFIRMED.has(state) && !isLoopback(address),
  ).length;
}

function inboundOf(text: string): number {
  const sockets = socketsIn(text);
  const listening = new Set(
    sockets.filter(({ state }) => state === LISTENING).map(({ port }) => port),
  );
  return sockets.filter(
    ({ address, port, state }) => OPEN.has(state) && listening.has(port) && !isLoopback(address),
  ).length;
}

function socketsIn(text: string) {
  return text.split('\n').flatMap((line) => {
    const match = /^\s*\d+: ([0-9A-F]+):([0-9A-F]{4}) \S+ ([0-9A-F]{2}) /.exec(line);
    return match ? [{ address: match[1]!, port: match[2]!, state: match[3]! }] : [];
  });
}

/** As the kernel prints it: 32-bit words in the machine's order, which is little-endian here. */
function isLoopback(address: string): boolean {
  const four = address.length === 8 ? address : /^0{16}FFFF0000(.{8})$/.exec(address)?.[1];
  return four?.endsWith('7F') ?? address === '00000000000000000000000001000000';
}
