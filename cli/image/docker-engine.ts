import { createWriteStream, existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { type IncomingMessage, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { messageOf, SwarmError } from '../../shared/errors.ts';
import type { Environment } from '../parse/env.ts';

const ANSWER_MS = 20_000;

/** The Docker of this machine, as far as images are concerned. Errors are SwarmErrors. */
export class DockerEngine {
  readonly #socket: string;

  private constructor(socket: string) {
    this.#socket = socket;
  }
  /** Undefined: there is none. `DOCKER_HOST` names another socket. */
  static find(env: Environment): DockerEngine | undefined {
    const named = env['DOCKER_HOST'] ?? '';
    if (named !== '' && !named.startsWith('unix://')) return undefined;
    const socket = named.slice('unix://'.length) || '/var/run/docker.sock';
    return existsSync(socket) ? new DockerEngine(socket) : undefined;
  }
  /** The id of an image; undefined: it has no such image. */
  async imageId(name: string): Promise<string | undefined> {
    const answer = await this.#get(`/images/${pathOf(name)}/json`);
    const text = await textOf(answer);
    if (answer.statusCode === 404) return undefined;
    if (answer.statusCode !== 200) throw this.#failed(text);
    return (JSON.parse(text) as { readonly Id: string }).Id;
  }
  /** Writes the image into a file as `docker save` does. Who asks removes it. */
  async save(
    name: string,
    onBytes: (count: number) => void,
    signal: AbortSignal,
  ): Promise<{ readonly path: string; remove(): Promise<void> }> {
    const directory = await mkdtemp(join(tmpdir(), 'swarm-image-'));
    const remove = () => rm(directory, { recursive: true, force: true });
    try {
      const answer = await this.#get(`/images/${pathOf(name)}/get`, signal);
      if (answer.statusCode !== 200) throw this.#failed(await textOf(answer));
      const counted = new Transform({
        transform(chunk: Buffer, _encoding, done) {
          onBytes(chunk.length);
          done(null, chunk);
        },
      });
      const path = join(directory, 'image.tar');
      await pipeline(answer, counted, createWriteStream(path, { mode: 0o600 }), { signal });
      return { path, remove };
    } catch (error) {
      await remove();
      throw SwarmError.is(error) ? error : this.#failed(messageOf(error));
    }
  }
  #get(path: string, signal?: AbortSignal): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const options = {
        socketPath: this.#socket,
        path,
        timeout: ANSWER_MS,
        ...(signal && { signal }),
      };
      const call = request(options, resolve);
      call.on('timeout', () => call.destroy(new Error('it does not answer')));
      call.on('error', (error) => reject(this.#failed(messageOf(error))));
      call.end();
    });
  }
  #failed(why: string): SwarmError {
    return new SwarmError('UNREACHABLE', `Docker at ${this.#socket}: ${why.trim().slice(0, 300)}`, {
      advice: 'Check that it runs and that you may use it; DOCKER_HOST names another socket.',
    });
  }
}

/** A name's slashes are part of the path; nothing else of it may be. */
function pathOf(name: string): string {
  return name.split('/').map(encodeURIComponent).join('/');
}

async function textOf(answer: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of answer) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}
