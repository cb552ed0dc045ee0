import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BuiltImage } from '../../shared/distribution/image-fixture.ts';
import { until } from './swarm.ts';

/** Debian's docker-registry on loopback, in a directory of its own. */
export class TestRegistry {
  readonly host: string;
  readonly #directory = mkdtempSync(join(tmpdir(), 'swarm-registry-'));
  readonly #process: ChildProcess;

  private constructor(port: number) {
    this.host = `127.0.0.1:${port}`;
    const config = join(this.#directory, 'config.yml');
    const storage = `storage:\n  filesystem:\n    rootdirectory: ${this.#directory}/data\n`;
    writeFileSync(config, `version: 0.1\n${storage}http:\n  addr: ${this.host}\n`);
    const args = ['serve', config];
    this.#process = spawn('docker-registry', args, { stdio: 'ignore' });
  }
  static async start(port: number): Promise<TestRegistry> {
    const registry = new TestRegistry(port);
    await until('the registry', async () => {
      const answer = await fetch(`http://${registry.host}/v2/`).catch(() => undefined);
      return answer?.status === 200 ? true : undefined;
    });
    return registry;
  }
  /** Returns the reference by digest. */
  async push(image: BuiltImage, name: string, tag: string): Promise<string> {
    const base = `http://${this.host}/v2/${name}`;
    for (const blob of [image.config, ...image.layers]) {
      const begun = await fetch(`${base}/blobs/uploads/`, { method: 'POST' });
      const url = new URL(begun.headers.get('location')!, base);
      url.searchParams.set('digest', blob.digest);
      await must(await fetch(url, { method: 'PUT', body: new Uint8Array(blob.bytes) }));
    }
    const headers = { 'content-type': image.manifest.mediaType };
    const body = new Uint8Array(image.manifest.bytes);
    await must(await fetch(`${base}/manifests/${tag}`, { method: 'PUT', headers, body }));
    return `${this.host}/${name}@${image.manifest.digest}`;
  }
  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.#process.once('exit', resolve));
    this.#process.kill('SIGKILL');
    await ended;
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

async function must(answer: Response): Promise<void> {
  if (answer.status >= 300) throw new Error(`${answer.status} ${await answer.text()}`);
}
