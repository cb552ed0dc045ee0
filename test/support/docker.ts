import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from './swarm.ts';

export interface DockerPlace {
  /** A network namespace to run in. */
  readonly namespace?: string;
  /** With its bridge and its firewall rules, as it comes. */
  readonly network?: boolean;
}

/** A dockerd of the test's own: its root, its socket, its containerd, and no network unless asked. */
export class TestDocker {
  readonly #directory = mkdtempSync(join(tmpdir(), 'swarm-dkr-'));
  readonly #process: ChildProcess;

  private constructor({ namespace, network: own = false }: DockerPlace) {
    const place = this.#directory;
    const places = ['--data-root', `${place}/root`, '--exec-root', `${place}/exec`];
    const ways = ['--pidfile', `${place}/pid`, '-H', `unix://${this.socket}`];
    const network = own ? [] : ['--bridge', 'none', '--iptables=false', '--ip6tables=false'];
    const args = [...places, ...ways, ...network, '--storage-driver', 'vfs'];
    const into = namespace === undefined ? [] : ['nsenter', `--net=/run/netns/${namespace}`];
    const [program, ...words] = [...into, 'dockerd', ...args];
    this.#process = spawn(program!, words, { stdio: 'ignore' });
  }
  get socket(): string {
    return join(this.#directory, 'd.sock');
  }
  static async start(place: DockerPlace = {}): Promise<TestDocker> {
    const docker = new TestDocker(place);
    await until('dockerd', async () => {
      const answer = await docker.#ask('GET', '/_ping').catch(() => undefined);
      return answer?.status === 200 ? true : undefined;
    });
    return docker;
  }
  /** What `docker load` does with the bytes of an archive. */
  async load(archive: Uint8Array): Promise<void> {
    const answer = await this.#ask('POST', '/images/load?quiet=1', archive);
    if (answer.status !== 200) throw new Error(`docker load: ${answer.status} ${answer.text}`);
  }
  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.#process.once('exit', resolve));
    this.#process.kill('SIGTERM');
    await ended;
    rmSync(this.#directory, { recursive: true, force: true, maxRetries: 3 });
  }
  #ask(
    method: string,
    path: string,
    body?: Uint8Array,
  ): Promise<{ readonly status: number; readonly text: string }> {
    return new Promise((resolve, reject) => {
      const headers = body ? { 'content-type': 'application/x-tar' } : {};
      const options = { socketPath: this.socket, method, path, headers };
      const call = request(options, (answer) => {
        let text = '';
        answer.on('data', (chunk) => {
          text += chunk;
        });
        answer.on('end', () => resolve({ status: answer.statusCode ?? 0, text }));
      });
      call.on('error', reject);
      call.end(body);
    });
  }
}
