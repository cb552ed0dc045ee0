import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request as plainRequest } from 'node:http';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BuiltImage } from '../../shared/distribution/image.fixture.ts';
import { ownCertificate } from './certificate.ts';
import { until } from './swarm.ts';

/** The login of a registry with `auth`; its hash is bcrypt's, as the registry wants it. */
export const LOGIN = { username: 'alice', password: 'right-password' };
const HASH = '$2a$05$abcdefghijklmnopqrstuuBO.kmgTJhdt40M5ZyHgFmcpBdUb9aS.';

export interface TestRegistryOptions {
  /** With a certificate of its own authority, that only `trustIn` makes known. */
  readonly tls?: boolean;
  /** Only for `LOGIN`. */
  readonly auth?: boolean;
}

/** Debian's docker-registry on loopback, in a directory of its own. */
export class TestRegistry {
  readonly host: string;
  readonly #directory = mkdtempSync(join(tmpdir(), 'swarm-registry-'));
  readonly #options: TestRegistryOptions;
  readonly #ca: string;
  readonly #process: ChildProcess;

  private constructor(
    port: number,
    options: TestRegistryOptions,
    pair: { cert: string; key: string },
  ) {
    this.host = `127.0.0.1:${port}`;
    this.#options = options;
    this.#ca = pair.cert;
    const config = this.#write('config.yml', this.#config(options));
    this.#write('tls.crt', pair.cert);
    this.#write('tls.key', pair.key);
    this.#write('htpasswd', `${LOGIN.username}:${HASH}\n`);
    this.#process = spawn('docker-registry', ['serve', config], { stdio: 'ignore' });
  }
  static async start(port: number, options: TestRegistryOptions = {}): Promise<TestRegistry> {
    const registry = new TestRegistry(port, options, await ownCertificate('127.0.0.1'));
    await until('the registry', async () => {
      const answer = await registry.#ask('GET', '/v2/').catch(() => undefined);
      return answer?.status === 200 ? true : undefined;
    });
    return registry;
  }
  /** Writes what makes its certificate known, in containerd's layout. */
  trustIn(directory: string): void {
    const place = join(directory, this.host);
    mkdirSync(place, { recursive: true });
    writeFileSync(join(place, 'ca.crt'), this.#ca);
    writeFileSync(join(place, 'hosts.toml'), `server = "https://${this.host}"\nca = "ca.crt"\n`);
  }
  /** Returns the reference by digest. */
  async push(image: BuiltImage, name: string, tag: string): Promise<string> {
    for (const blob of [image.config, ...image.layers]) {
      const { location } = await this.#ask('POST', `/v2/${name}/blobs/uploads/`);
      const url = new URL(location, `http://${this.host}`);
      url.searchParams.set('digest', blob.digest);
      await this.#must('PUT', url.pathname + url.search, blob.bytes);
    }
    const type = image.manifest.mediaType;
    await this.#must('PUT', `/v2/${name}/manifests/${tag}`, image.manifest.bytes, type);
    return `${this.host}/${name}@${image.manifest.digest}`;
  }
  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.#process.once('exit', resolve));
    this.#process.kill('SIGKILL');
    await ended;
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #config({ tls = false, auth = false }: TestRegistryOptions): string {
    const place = this.#directory;
    const lines = [
      'version: 0.1',
      `storage:\n  filesystem:\n    rootdirectory: ${place}/data`,
      `http:\n  addr: ${this.host}\n  secret: of-this-test`,
    ];
    if (tls) lines.push(`  tls:\n    certificate: ${place}/tls.crt\n    key: ${place}/tls.key`);
    if (auth) lines.push(`auth:\n  htpasswd:\n    realm: test\n    path: ${place}/htpasswd`);
    return `${lines.join('\n')}\n`;
  }
  #write(name: string, text: string): string {
    const path = join(this.#directory, name);
    writeFileSync(path, text);
    return path;
  }
  async #must(method: string, path: string, body: Uint8Array, type?: string): Promise<void> {
    const answer = await this.#ask(method, path, body, type);
    if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${answer.text}`);
  }
  #ask(
    method: string,
    path: string,
    body?: Uint8Array,
    type = 'application/octet-stream',
  ): Promise<{ status: number; location: string; text: string }> {
    const { tls, auth } = this.#options;
    const [hostname, port] = this.host.split(':') as [string, string];
    const basic = Buffer.from(`${LOGIN.username}:${LOGIN.password}`).toString('base64');
    const headers = {
      'content-type': type,
      ...(body ? { 'content-length': body.length } : {}),
      ...(auth ? { authorization: `Basic ${basic}` } : {}),
    };
    return new Promise((resolve, reject) => {
      const options = { method, hostname, port, path, headers, ca: this.#ca };
      const start = tls ? request : plainRequest;
      const call = start(options, (answer) => {
        let text = '';
        answer.on('data', (chunk) => {
          text += chunk;
        });
        const { statusCode = 0, headers: told } = answer;
        answer.on('end', () =>
          resolve({ status: statusCode, location: told.location ?? '', text }),
        );
      });
      call.on('error', reject);
      call.end(body);
    });
  }
}
