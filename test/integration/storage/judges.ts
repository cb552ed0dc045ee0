import { type ChildProcess, spawn } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Content } from './content.ts';
import type { Fault } from './fault.ts';
import type { Case } from './judge.ts';

/**
 * `damaged`: found out and said so, the member will not take part. `refused`: the start failed with
 * another error, which an operator sees. `crashed`: LevelDB ended the process, and did so again
 * although the last opening was known not to have ended.
 */
export type Verdict =
  | { readonly kind: 'content'; readonly content: Content }
  | { readonly kind: 'damaged' | 'refused'; readonly reason: string }
  | { readonly kind: 'crashed' };

/** A few processes that judge faults side by side; each has a folder of its own to work in. */
export class Judges {
  readonly #free: Judge[];
  readonly #all: readonly Judge[];
  readonly #waiting: ((judge: Judge) => void)[] = [];

  constructor(directory: string, count: number) {
    this.#all = Array.from({ length: count }, (_, n) => new Judge(join(directory, `judge-${n}`)));
    this.#free = [...this.#all];
  }

  /** What a manager makes of `base` after the fault. */
  async judge(base: string, fault?: Fault): Promise<Verdict> {
    const judge = this.#free.pop() ?? (await new Promise<Judge>((r) => this.#waiting.push(r)));
    try {
      return await judge.judge(base, fault);
    } finally {
      const next = this.#waiting.shift();
      if (next) next(judge);
      else this.#free.push(judge);
    }
  }

  /** The content of a state that must be sound. */
  async content(base: string): Promise<Content> {
    const verdict = await this.judge(base);
    if (verdict.kind === 'content') return verdict.content;
    throw new Error(`a sound state was judged: ${JSON.stringify(verdict)}`);
  }

  async close(): Promise<void> {
    for (const judge of this.#all) await judge.close();
  }
}

class Judge {
  readonly #work: string;
  #child: ChildProcess | undefined;
  #lines: Interface | undefined;

  constructor(work: string) {
    this.#work = work;
  }

  async judge(base: string, fault: Fault | undefined): Promise<Verdict> {
    const work = this.#work;
    const first = await this.#ask({ base, work, fault, again: false });
    return first ?? (await this.#ask({ base, work, again: true })) ?? { kind: 'crashed' };
  }

  async close(): Promise<void> {
    const child = this.#child;
    if (child !== undefined && child.exitCode === null && child.signalCode === null) {
      const gone = new Promise((resolve) => child.once('exit', resolve));
      child.stdin?.end();
      await gone;
    }
    await rm(this.#work, { recursive: true, force: true });
  }

  /** Undefined when the process ended instead of answering. */
  #ask(asked: Case): Promise<Verdict | undefined> {
    const child = this.#child ?? this.#start();
    return new Promise((resolve) => {
      const answered = (line: string): void => {
        child.off('close', ended);
        resolve(JSON.parse(line) as Verdict);
      };
      const ended = (): void => {
        this.#lines?.off('line', answered);
        this.#child = undefined;
        resolve(undefined);
      };
      this.#lines?.once('line', answered);
      child.once('close', ended);
      child.stdin?.write(`${JSON.stringify(asked)}\n`);
    });
  }

  #start(): ChildProcess {
    const script = `judge${extname(fileURLToPath(import.meta.url))}`;
    const path = fileURLToPath(new URL(script, import.meta.url));
    const child = spawn(process.execPath, [...process.execArgv, path], {
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    // It ended before it read what it was asked.
    child.stdin.on('error', () => undefined);
    this.#lines = createInterface({ input: child.stdout });
    this.#child = child;
    return child;
  }
}
