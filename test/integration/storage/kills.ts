import { type ChildProcess, spawn } from 'node:child_process';
import { extname } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { SeededRandom } from '../../../shared/random.ts';
import { WRITERS } from './pairs.ts';

/** One of so many is killed while it opens its state, the others while they write. */
const OPENING_ONE_IN = 4;
const OPENING_MS_MAX = 500;
const WRITING_MS_MAX = 150;

/** Starts and kills one manager's process again and again, and keeps what it acknowledged. */
export class Kills {
  readonly #directory: string;
  readonly #random: SeededRandom;
  readonly #acknowledged = new Array<number>(WRITERS).fill(0);
  kills = 0;
  changes = 0;

  constructor(directory: string, random: SeededRandom) {
    this.#directory = directory;
    this.#random = random;
  }

  /** What is wrong with what it found at its start, or an empty text. */
  async once(): Promise<string> {
    const child = this.#start();
    const gone = new Promise((resolve) => child.once('close', resolve));
    const duringOpening = this.#random.below(OPENING_ONE_IN) === 0;
    let problem = '';
    let timer = duringOpening ? this.#killSoon(child, OPENING_MS_MAX) : undefined;
    createInterface({ input: child.stdout! }).on('line', (line) => {
      const [word, ...rest] = line.split(' ');
      if (word === 'failed') problem = line;
      if (word === 'done') this.#note(Number(rest[0]), Number(rest[1]));
      if (word !== 'ready') return;
      problem = this.#compare(rest.map(Number));
      timer ??= this.#killSoon(child, WRITING_MS_MAX);
    });
    await gone;
    clearTimeout(timer);
    this.kills++;
    return problem;
  }

  #note(writer: number, number: number): void {
    this.#acknowledged[writer] = number;
    this.changes++;
  }

  #compare(found: readonly number[]): string {
    for (const [writer, number] of this.#acknowledged.entries()) {
      if ((found[writer] ?? 0) >= number) continue;
      return `writer ${writer}: change ${number} was acknowledged, ${found[writer]} is there`;
    }
    return '';
  }

  #killSoon(child: ChildProcess, msMax: number): NodeJS.Timeout {
    return setTimeout(() => child.kill('SIGKILL'), this.#random.below(msMax));
  }

  #start(): ChildProcess {
    const script = `killed-member${extname(fileURLToPath(import.meta.url))}`;
    const path = fileURLToPath(new URL(script, import.meta.url));
    return spawn(process.execPath, [...process.execArgv, path, this.#directory], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
  }
}
