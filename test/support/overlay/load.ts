import { spawn } from 'node:child_process';
import { join } from 'node:path';
import type { LoadResult, Target } from '../load.ts';
import { ROOT } from '../swarm.ts';

const SCRIPT = join(ROOT, 'dist', 'test', 'support', 'overlay', 'load-main.js');

/**
 * A steady load of GETs that comes from another network namespace than the test's. Without a path it
 * asks the server of `node-image.ts` for answers that take 5 to 500 ms.
 */
export class LoadFrom {
  readonly #result: Promise<LoadResult>;
  readonly #end: () => void;

  constructor(namespace: string, targets: readonly Target[], perSecond: number, path?: string) {
    const words = [SCRIPT, JSON.stringify({ targets, perSecond, path })];
    const child = spawn('nsenter', [`--net=/run/netns/${namespace}`, process.execPath, ...words], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    let text = '';
    child.stdout.on('data', (chunk: Buffer) => {
      text += chunk;
    });
    this.#end = () => child.stdin.end();
    this.#result = new Promise((resolve, reject) => {
      child.once('exit', (code) => {
        if (code !== 0) return reject(new Error(`the load ended with ${code}`));
        const result = JSON.parse(text) as LoadResult & { bodies: [string, number][] };
        resolve({ ...result, bodies: new Map(result.bodies) });
      });
    });
    this.#result.catch(() => undefined);
  }
  /** Sends nothing more; resolves when every request was answered or lost. */
  stop(): Promise<LoadResult> {
    this.#end();
    return this.#result;
  }
}
