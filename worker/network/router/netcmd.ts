import type { Clock } from '../../../shared/clock.ts';
import type { Io } from '../../io.ts';
import { ResidentShell } from './resident-shell.ts';

/** A network namespace: the host's own, one by its name, or that of a path. */
export type Place = { readonly in: 'host' } | { readonly in: 'namespace'; readonly name: string };

/** One program that is run to its end, with what it reads. */
export interface Command {
  readonly place: Place;
  readonly program: 'ip' | 'bridge' | 'nft' | 'sh' | 'conntrack' | 'grep';
  readonly args: readonly string[];
  readonly input: string;
}

export interface Outcome {
  readonly code: number;
  readonly output: string;
}

/** Runs the programs that build networks; nothing else of the worker starts them. */
export interface Netcmd {
  /** Never throws. */
  run(command: Command): Promise<Outcome>;
}

/** Lines of shell. */
export function script(place: Place, input: string): Command {
  return { place, program: 'sh', args: ['-s'], input };
}

/** What it prints. Throws its last line when it fails. */
export async function must(netcmd: Netcmd, command: Command): Promise<string> {
  const { code, output } = await netcmd.run(command);
  if (code === 0) return output;
  throw new Error(output.trim().split('\n').at(-1) || `${command.program} failed`);
}

const RUN_MS = 30_000;
/** As many containers' links are set up at a time. */
const SHELLS_MAX = 4;
/** What is listed of a table with a hundred thousand elements. */
const OUTPUT_BYTES_MAX = 64 << 20;
/** A daemon that was not started by a login shell may not have all of these. */
const PATH = `${process.env['PATH'] ?? '/usr/bin:/bin'}:/usr/sbin:/sbin`;

/** The programs of this machine. `host`: a namespace that stands for the host's own, in tests. */
export class SystemNetcmd implements Netcmd {
  readonly #io: Io;
  readonly #clock: Clock;
  readonly #host: string | undefined;
  /** Of each namespace, by its name: as many as ever ran at a time. */
  readonly #shells = new Map<string | undefined, ResidentShell[]>();

  constructor(io: Io, clock: Clock, host?: string) {
    this.#io = io;
    this.#clock = clock;
    this.#host = host;
  }
  async run({ place, program, args, input }: Command): Promise<Outcome> {
    const { code, output } = await this.#shell(place).run({
      command: program,
      args,
      env: { PATH, LC_ALL: 'C' },
      timeoutMs: RUN_MS,
      outputBytesMax: OUTPUT_BYTES_MAX,
      input,
    });
    return { code, output };
  }
  #shell(place: Place): ResidentShell {
    const name = place.in === 'host' ? this.#host : place.name;
    const shells = this.#shells.get(name) ?? [];
    this.#shells.set(name, shells);
    const free = shells.find((shell) => !shell.isBusy);
    if (free !== undefined) return free;
    if (shells.length === SHELLS_MAX) return shells[0]!;
    const shell = new ResidentShell(this.#io, this.#clock, name);
    shells.push(shell);
    return shell;
  }
}

export const HOST: Place = { in: 'host' };
export function namespace(name: string): Place {
  return { in: 'namespace', name };
}
