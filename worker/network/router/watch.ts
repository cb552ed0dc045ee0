import { type ChildProcess, spawn } from 'node:child_process';
import type { Clock, Timer } from '../../../shared/clock.ts';
import type { NodeNames } from './names.ts';

/** Events that come together are one. */
const GATHER_MS = 50;
/** Between the end of a program that tells of changes and the next one. */
const AGAIN_MS = 5_000;

/** The devices between nodes have no neighbours but ours; those of containers come and go by themselves. */
const OWN_NEIGHBOUR = / dev sw(ing|x)/;
/** Links of a host come and go with everybody's containers: the ones to the router and to other nodes. */
const OWN_LINK = /\bsw[ug]/;
/** Routes and addresses of a host change all the time: those of the link to the router, and forwarding. */
const OWN_UPLINK = /\bswu|\ball forwarding off/;

interface Source {
  readonly words: readonly string[];
  /** What counts of what it tells; undefined: everything. */
  readonly counts?: RegExp;
}

/** A program that tells of changes on its standard output. */
export type Watching = Pick<ChildProcess, 'once' | 'kill'> & {
  readonly stdout: Pick<NonNullable<ChildProcess['stdout']>, 'on'>;
};

/**
 * Tells when the host's tables or links, or anything in the router, changed. The programs that do so
 * end with this daemon, also when it is killed.
 */
export function watchKernel(
  clock: Clock,
  names: NodeNames,
  onChange: () => void,
  start: (words: readonly string[]) => Watching = startProgram,
): { close(): void } {
  const inRouter = ['nsenter', `--net=/run/netns/${names.router}`];
  const told = new Gathered(clock, onChange);
  const sources: readonly Source[] = [
    { words: ['nft', 'monitor', 'ruleset'] },
    { words: ['ip', 'monitor', 'link'], counts: OWN_LINK },
    { words: ['ip', 'monitor', 'address', 'route', 'netconf'], counts: OWN_UPLINK },
    { words: [...inRouter, 'nft', 'monitor', 'ruleset'] },
    { words: [...inRouter, 'ip', 'monitor', 'link', 'address', 'route', 'rule', 'nexthop'] },
    { words: [...inRouter, 'ip', 'monitor', 'neigh'], counts: OWN_NEIGHBOUR },
  ];
  const programs = sources.map(
    ({ words, counts }) =>
      new Program(
        clock,
        () => start(words),
        (text) => {
          if (text === undefined || counts === undefined || counts.test(text)) told.event();
        },
      ),
  );
  return {
    close() {
      told.close();
      for (const program of programs) program.close();
    },
  };
}

class Gathered {
  readonly #clock: Clock;
  readonly #fn: () => void;
  #timer: Timer | undefined;

  constructor(clock: Clock, fn: () => void) {
    this.#clock = clock;
    this.#fn = fn;
  }
  event(): void {
    this.#timer ??= this.#clock.setTimer(GATHER_MS, () => {
      this.#timer = undefined;
      this.#fn();
    });
  }
  close(): void {
    this.#timer?.cancel();
  }
}

/** One program that runs as long as it is wanted. */
class Program {
  readonly #clock: Clock;
  readonly #run: () => Watching;
  /** Undefined: it began or ended, and what happened meanwhile was not told. */
  readonly #onOutput: (text: string | undefined) => void;
  #child: Watching | undefined;
  #again: Timer | undefined;
  #closed = false;

  constructor(clock: Clock, run: () => Watching, onOutput: (text: string | undefined) => void) {
    this.#clock = clock;
    this.#run = run;
    this.#onOutput = onOutput;
    this.#start();
  }
  close(): void {
    this.#closed = true;
    this.#again?.cancel();
    this.#child?.kill('SIGKILL');
  }
  #start(): void {
    const child = this.#run();
    this.#child = child;
    child.stdout.on('data', (chunk: unknown) => this.#onOutput(String(chunk)));
    let ended = false;
    const end = (): void => {
      if (ended || this.#closed) return;
      ended = true;
      this.#onOutput(undefined);
      this.#again = this.#clock.setTimer(AGAIN_MS, () => {
        this.#start();
        this.#onOutput(undefined);
      });
    };
    child.once('error', end);
    child.once('exit', end);
  }
}

function startProgram(words: readonly string[]): Watching {
  const path = `${process.env['PATH'] ?? '/usr/bin:/bin'}:/usr/sbin:/sbin`;
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', ...words], {
    stdio: ['ignore', 'pipe', 'ignore'],
    env: { PATH: path, LC_ALL: 'C' },
  });
  // What is only watched keeps no daemon alive.
  child.unref();
  return child;
}
