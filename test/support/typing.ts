import { type ChildProcess, spawn } from 'node:child_process';
import { until } from './swarm.ts';

/** A shell script on a terminal of its own, typed on by a test. `script` of util-linux makes it. */
export class Typing {
  readonly #child: ChildProcess;
  readonly ended: Promise<number>;
  text = '';

  constructor(script: string, env: { readonly [name: string]: string }) {
    this.#child = spawn('script', ['-qefc', `stty sane rows 33 cols 77; ${script}`, '/dev/null'], {
      env: { ...process.env, ...env, SHELL: '/bin/sh' },
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    this.#child.stdout!.on('data', (chunk: Buffer) => {
      this.text += chunk;
    });
    this.ended = new Promise((resolve) => this.#child.once('exit', (code) => resolve(code ?? -1)));
  }
  type(text: string): void {
    this.#child.stdin!.write(text);
  }
  /** Resolves when this has appeared on the screen. */
  async until(wanted: RegExp): Promise<void> {
    try {
      await until(`${wanted}`, () => (wanted.test(this.text) ? true : undefined));
    } catch (error) {
      throw new Error(`the screen shows ${JSON.stringify(this.text)}`, { cause: error });
    }
  }
  /** As the end of the window. */
  kill(): void {
    this.#child.kill('SIGKILL');
  }
}
