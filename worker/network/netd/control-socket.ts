import { chmodSync, renameSync, rmSync, statSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { NetdDown, NetdUp } from '../../../proto/index.ts';
import { messageOf } from '../../../shared/errors.ts';
import type { Log } from '../../../shared/log.ts';
import { FrameReader, frame } from './framing.ts';

/** One connected swarmd. */
export class ControlPeer {
  readonly #socket: Socket;

  constructor(socket: Socket) {
    this.#socket = socket;
  }
  send(message: NetdDown): void {
    if (this.#socket.writable) this.#socket.write(frame(NetdDown.encode(message)));
  }
  end(): void {
    this.#socket.end();
  }
}

/**
 * The unix socket that swarmd talks to. It is bound under a name of its own and renamed to the common
 * one: whoever comes later takes the name over without a gap, and no other's socket is ever removed.
 */
export class ControlSocket {
  readonly #path: string;
  readonly #log: Log;
  readonly #onMessage: (message: NetdUp, from: ControlPeer) => void;
  readonly #server: Server;
  readonly #sockets = new Map<Socket, ControlPeer>();
  #inode = 0;

  constructor(path: string, log: Log, onMessage: (message: NetdUp, from: ControlPeer) => void) {
    this.#path = path;
    this.#log = log;
    this.#onMessage = onMessage;
    this.#server = createServer((socket) => this.#accept(socket));
  }
  /** Answers at the common name when resolved; rejects with the system's error. */
  async open(pid: number): Promise<void> {
    const own = `${this.#path}.${pid.toString(36)}`;
    rmSync(own, { force: true });
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(own, () => {
        this.#server.off('error', reject);
        resolve();
      });
    });
    chmodSync(own, 0o600);
    this.#inode = statSync(own).ino;
    renameSync(own, this.#path);
  }
  /** Whose the common name is now: another netd's, once one has taken it over. */
  nameHolder(): 'this' | 'another' | 'nobody' {
    try {
      return statSync(this.#path).ino === this.#inode ? 'this' : 'another';
    } catch {
      return 'nobody';
    }
  }
  broadcast(message: NetdDown): void {
    for (const peer of this.#sockets.values()) peer.send(message);
  }
  close(): void {
    if (this.#server.listening) this.#server.close();
    for (const socket of this.#sockets.keys()) socket.end();
  }
  removeName(): void {
    if (this.nameHolder() === 'this') rmSync(this.#path, { force: true });
  }
  #accept(socket: Socket): void {
    const peer = new ControlPeer(socket);
    const reader = new FrameReader((bytes) => this.#onMessage(NetdUp.decode(bytes), peer));
    this.#sockets.set(socket, peer);
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('error', () => undefined);
    socket.on('data', (chunk) => {
      try {
        reader.push(chunk);
      } catch (error) {
        this.#log.warn({ error: messageOf(error) }, 'a message could not be read');
        socket.destroy();
      }
    });
  }
}
