import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { freeAddress } from './raft-cluster.ts';
import { cpuTicks } from './raft-cpu.ts';
import type { LoadResult } from './raft-load.ts';
import { ROW_BYTES, ROW_COUNT } from './raft-protocol.ts';

const run = promisify(execFile);
/** Where Debian's golang-etcd-server-dev has the sources that the client is built with. */
const GO_PATH = '/usr/share/gocode';
const TICK_US = 10_000;
const CONNECTIONS_MAX = 8;

/** 3 etcd members on loopback, TLS on both ports, data on the same disk, and a Go client. */
export class EtcdPeer {
  readonly #directory: string;
  readonly #children: ChildProcess[] = [];
  readonly #endpoints: string[] = [];

  private constructor(directory: string) {
    this.#directory = directory;
  }

  /** Undefined where etcd, go or openssl are not installed. */
  static async up(): Promise<EtcdPeer | undefined> {
    for (const [program, flag] of [
      ['etcd', '--version'],
      ['go', 'version'],
      ['openssl', 'version'],
    ]) {
      const there = await run(program!, [flag!]).then(
        () => true,
        () => false,
      );
      if (!there) return undefined;
    }
    const peer = new EtcdPeer(await mkdtemp(join(tmpdir(), 'swarm-bench-etcd-')));
    try {
      await peer.#certificates();
      await peer.#build();
      await peer.#start();
    } catch (error) {
      await peer.down();
      throw error;
    }
    return peer;
  }

  /** Puts by `width` closed-loop clients of the leader. */
  async load(width: number, warmMs: number, runMs: number): Promise<LoadResult> {
    const before = this.#cpuUs();
    const { stdout } = await this.#client([
      ...['-clients', String(width), '-connections', String(Math.min(width, CONNECTIONS_MAX))],
      ...['-warm', `${warmMs}ms`, '-run', `${runMs}ms`],
      ...['-value', String(ROW_BYTES), '-keys', String(ROW_COUNT)],
    ]);
    const result = JSON.parse(stdout) as Omit<LoadResult, 'pauseMs' | 'busyMs'>;
    const count = (result.perSecond * (warmMs + runMs)) / 1000;
    return { ...result, pauseMs: 0, busyMs: 0, cpuUs: (this.#cpuUs() - before) / count };
  }

  async down(): Promise<void> {
    for (const child of this.#children) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const gone = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGKILL');
      await gone;
    }
    await rm(this.#directory, { recursive: true, force: true });
  }

  #cpuUs(): number {
    return this.#children.reduce((sum, child) => sum + cpuTicks(child.pid ?? 0) * TICK_US, 0);
  }

  #file(name: string): string {
    return join(this.#directory, name);
  }

  /** One self-made root and one certificate for 127.0.0.1, used by all. */
  async #certificates(): Promise<void> {
    const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
    const root = ['-keyout', this.#file('ca.key'), '-out', this.#file('ca.pem')];
    await run('openssl', [
      'req',
      '-x509',
      ...curve,
      ...root,
      '-subj',
      '/CN=bench-ca',
      '-days',
      '2',
    ]);
    const own = ['-keyout', this.#file('key.pem'), '-out', this.#file('request.pem')];
    await run('openssl', ['req', ...curve, ...own, '-subj', '/CN=bench']);
    await writeFile(this.#file('extensions'), 'subjectAltName=IP:127.0.0.1\n');
    await run('openssl', [
      ...['x509', '-req', '-days', '2', '-CAcreateserial', '-in', this.#file('request.pem')],
      ...['-CA', this.#file('ca.pem'), '-CAkey', this.#file('ca.key')],
      ...['-extfile', this.#file('extensions'), '-out', this.#file('cert.pem')],
    ]);
  }

  async #build(): Promise<void> {
    const sources = ['../../../test/bench/peers/etcd-load', './peers/etcd-load'];
    const found = sources
      .map((path) => new URL(path, import.meta.url).pathname)
      .find((path) => existsSync(join(path, 'main.go')));
    if (found === undefined) throw new Error('test/bench/peers/etcd-load is not there');
    const env = { ...process.env, GO111MODULE: 'off', GOPATH: GO_PATH, GOFLAGS: '' };
    await run('go', ['build', '-o', this.#file('etcd-load'), '.'], { cwd: found, env });
  }

  async #start(): Promise<void> {
    const peers: string[] = [];
    for (let i = 0; i < 3; i++) {
      this.#endpoints.push(`https://${await freeAddress()}`);
      peers.push(`https://${await freeAddress()}`);
    }
    const initial = peers.map((url, i) => `m${i}=${url}`).join(',');
    for (const [i, url] of peers.entries()) {
      const endpoint = this.#endpoints[i]!;
      const flags = {
        name: `m${i}`,
        'data-dir': this.#file(`m${i}`),
        'listen-client-urls': endpoint,
        'advertise-client-urls': endpoint,
        'listen-peer-urls': url,
        'initial-advertise-peer-urls': url,
        'initial-cluster': initial,
        'initial-cluster-state': 'new',
        'log-level': 'error',
        ...this.#tls(''),
        ...this.#tls('peer-'),
      };
      const args = Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
      this.#children.push(spawn('etcd', args, { stdio: 'ignore' }));
    }
    await this.#client(['-clients', '1', '-connections', '1', '-warm', '0s', '-run', '1s']);
  }

  #tls(prefix: string): { [flag: string]: string } {
    return {
      [`${prefix}cert-file`]: this.#file('cert.pem'),
      [`${prefix}key-file`]: this.#file('key.pem'),
      [`${prefix}trusted-ca-file`]: this.#file('ca.pem'),
      [`${prefix}client-cert-auth`]: 'true',
    };
  }

  #client(args: readonly string[]): Promise<{ stdout: string }> {
    return run(this.#file('etcd-load'), [
      ...['-endpoints', this.#endpoints.join(','), '-ca', this.#file('ca.pem')],
      ...['-cert', this.#file('cert.pem'), '-key', this.#file('key.pem')],
      ...args,
    ]);
  }
}
