import { createSocket } from 'node:dgram';
import { connect, isIPv6 } from 'node:net';
import type { Clock } from '../../../shared/clock.ts';
import { endOfQuestion, HEADER_BYTES } from './message.ts';
import { framed, TcpMessages } from './tcp-messages.ts';

export interface Asking {
  readonly query: Buffer;
  /** The number that it goes out under, which nobody else can know. */
  readonly id: number;
  readonly server: string;
  readonly port: number;
  readonly clock: Clock;
  readonly waitMs: number;
}

/**
 * Asks one resolver by a socket of its own, so that the port is hard to guess and nobody else's answer
 * gets in. Undefined: it said nothing in time, or refuses connections.
 */
export function askUdp(asking: Asking): Promise<Buffer | undefined> {
  const { server, port, clock, waitMs } = asking;
  const query = numbered(asking);
  return new Promise((resolve) => {
    const socket = createSocket({ type: isIPv6(server) ? 'udp6' : 'udp4' });
    let isOver = false;
    const end = (answer: Buffer | undefined): void => {
      if (isOver) return;
      isOver = true;
      timer.cancel();
      // It may still be opening: then it closes itself behind that.
      socket.close();
      resolve(answer);
    };
    const timer = clock.setTimer(waitMs, () => end(undefined));
    socket.on('error', () => end(undefined));
    socket.on('message', (message) => {
      if (isAnswerTo(query, message)) end(message);
    });
    socket.on('connect', () => {
      if (!isOver) socket.send(query);
    });
    socket.connect(port, server);
  });
}

/** The same over TCP, for answers that are too large for a datagram. */
export function askTcp(asking: Asking): Promise<Buffer | undefined> {
  const { server, port, clock, waitMs } = asking;
  const query = numbered(asking);
  return new Promise((resolve) => {
    const socket = connect(port, server);
    const end = (answer: Buffer | undefined): void => {
      timer.cancel();
      socket.destroy();
      resolve(answer);
    };
    const timer = clock.setTimer(waitMs, () => end(undefined));
    const messages = new TcpMessages((message) => {
      if (isAnswerTo(query, message)) end(message);
    });
    socket.on('error', () => end(undefined));
    socket.on('close', () => end(undefined));
    socket.on('data', (chunk) => messages.push(chunk));
    socket.on('connect', () => socket.write(framed(query)));
  });
}

function numbered({ query, id }: Asking): Buffer {
  const out = Buffer.from(query);
  out.writeUInt16BE(id, 0);
  return out;
}

/** An answer has the number and the question of its query; resolvers may change the letters' case. */
export function isAnswerTo(query: Buffer, message: Buffer): boolean {
  if (message.length < HEADER_BYTES || (message[2]! & 0x80) === 0) return false;
  if (message.readUInt16BE(0) !== query.readUInt16BE(0)) return false;
  const end = endOfQuestion(message);
  // One that could not read the question gives none back.
  if (end === undefined) return message.readUInt16BE(4) === 0 && (message[3]! & 15) !== 0;
  const asked = query.toString('latin1', HEADER_BYTES, endOfQuestion(query) ?? HEADER_BYTES);
  return message.toString('latin1', HEADER_BYTES, end).toLowerCase() === asked.toLowerCase();
}
