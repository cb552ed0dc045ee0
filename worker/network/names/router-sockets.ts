import { type ChildProcess, spawn } from 'node:child_process';
import type { Socket as UdpSocket } from 'node:dgram';
import { statSync } from 'node:fs';
import type { Server } from 'node:net';
import type { Clock, Timer } from '../../../shared/clock.ts';
import { messageOf } from '../../../shared/errors.ts';
import type { Log } from '../../../shared/log.ts';
import type { NameSockets } from './name-server.ts';
import { OPEN_SOCKETS, type OpenSocketsMessage } from './open-sockets.ts';

export interface RouterSocketsDeps {
  readonly clock: Clock;
  readonly log: Log;
  /** Netd's own program, which is its own helper. */
  readonly helper: { readonly execPath: string; readonly args: readonly string[] };
  readonly onSockets: (sockets: NameSockets | undefined) => void;
}

/** Where the sockets are: a namespace that was made anew has the old one's name. */
interface Opened {
  readonly router: string;
  readonly inode: number;
}

const CHECK_MS = 1_000;
const RETRY_MS = 200;
const OPEN_MS = 10_000;

/** Keeps the sockets for names open in the node's router, wherever that is. */
export class RouterSockets {
  readonly #deps: RouterSocketsDeps;
  #router = '';
  #opened: Opened | undefined;
  #opening = false;
  #timer: Timer | undefined;
  #problem = '';
  #closed = false;

  constructor(deps: RouterSocketsDeps) {
    this.#deps = deps;
  }
  /** What a successor has to know to go on with the sockets; undefined: there are none. */
  get opened(): string | undefined {
    return this.#opened && `${this.#opened.router}/${this.#opened.inode}`;
  }
  /** The name of the router's namespace; empty: nobody asks for names. */
  follow(router: string): void {
    this.#router = router;
    this.#look();
  }
  /** The sockets that an older netd had open there. */
  adopt(opened: string, sockets: NameSockets): void {
    const [router = '', inode = ''] = opened.split('/');
    this.#opened = { router, inode: Number(inode) };
    this.#deps.onSockets(sockets);
  }
  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  #look(): void {
    this.#timer?.cancel();
    if (this.#closed || this.#opening) return;
    const inode = this.#router === '' ? undefined : inodeOf(this.#router);
    if (this.#opened?.router !== this.#router || this.#opened.inode !== inode) {
      if (this.#opened !== undefined) this.#deps.onSockets(undefined);
      this.#opened = undefined;
      if (inode !== undefined) return void this.#open(this.#router, inode);
    }
    if (this.#router === '') return;
    const afterMs = this.#opened === undefined ? RETRY_MS : CHECK_MS;
    this.#timer = this.#deps.clock.setTimer(afterMs, () => this.#look());
  }
  async #open(router: string, inode: number): Promise<void> {
    const { log, onSockets } = this.#deps;
    this.#opening = true;
    try {
      const sockets = await this.#openIn(router);
      if (this.#closed) {
        sockets.udp.close();
        sockets.tcp.close();
        return;
      }
      this.#opened = { router, inode };
      this.#problem = '';
      onSockets(sockets);
      log.info({ router }, 'names are answered');
    } catch (error) {
      const problem = messageOf(error);
      if (problem !== this.#problem) log.warn({ router, problem }, 'names cannot be answered');
      this.#problem = problem;
    } finally {
      this.#opening = false;
    }
    this.#timer = this.#deps.clock.setTimer(RETRY_MS, () => this.#look());
  }
  #openIn(router: string): Promise<NameSockets> {
    const { helper, clock } = this.#deps;
    const child = spawn(
      'nsenter',
      [`--net=/run/netns/${router}`, helper.execPath, ...helper.args, OPEN_SOCKETS],
      { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] },
    );
    return new Promise<NameSockets>((resolve, reject) => {
      const fail = (reason: string): void => {
        timer.cancel();
        child.kill('SIGKILL');
        udp?.close();
        reject(new Error(reason));
      };
      const timer = clock.setTimer(OPEN_MS, () => fail('the helper did not answer in time'));
      let udp: UdpSocket | undefined;
      child.on('error', (error) => fail(error.message));
      child.on('exit', (code) => fail(`the helper ended with ${code}`));
      child.on('message', (raw, handle) => {
        const message = raw as OpenSocketsMessage;
        if (message.kind === 'udp') udp = handle as UdpSocket;
        if (message.kind === 'failed') return fail(message.reason ?? '');
        child.send('taken', () => undefined);
        if (message.kind !== 'tcp' || udp === undefined) return;
        timer.cancel();
        letGo(child);
        resolve({ udp, tcp: handle as Server });
      });
    });
  }
}

/** It has done its work and ends by itself. */
function letGo(child: ChildProcess): void {
  child.removeAllListeners();
  child.on('error', () => undefined);
  if (child.connected) child.disconnect();
  child.unref();
}

function inodeOf(router: string): number | undefined {
  try {
    return statSync(`/run/netns/${router}`).ino;
  } catch {
    return undefined;
  }
}
