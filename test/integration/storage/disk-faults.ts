import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Content } from './content.ts';
import type { Findings } from './crash-check.ts';
import { describeFault, type Fault } from './fault.ts';
import type { Judges } from './judges.ts';
import { fileSizes, RecordedDisk } from './recorded-disk.ts';
import { ScriptedMember } from './scripted-member.ts';

/** A logs of LevelDB: what a crash cuts off one was never acknowledged, so nobody misses it. */
const LOG = /\d+\.log$/;
const PARTS = [0, 0.25, 0.5, 0.75];

/** What a disk does behind everybody's back must be found out, or change nothing. */
export class DiskFaults {
  /** What was found out, and what changed nothing. */
  readonly counts = { unchanged: 0, damaged: 0 };
  readonly #judges: Judges;
  readonly #directory: string;
  readonly #whole: Content;

  private constructor(judges: Judges, directory: string, whole: Content) {
    this.#judges = judges;
    this.#directory = directory;
    this.#whole = whole;
  }

  static async prepare(root: string, judges: Judges): Promise<DiskFaults> {
    const directory = join(root, 'member');
    await makeState(root, directory);
    return new DiskFaults(judges, directory, await judges.content(directory));
  }

  /** A bit in each `stepBytes` of every file; which byte of these, and which bit, goes round. */
  async flips(stepBytes: number): Promise<Findings> {
    const faults: Fault[] = [];
    for (const [file, size] of await fileSizes(this.#directory)) {
      for (let from = 0, n = 0; from < size; from += stepBytes, n++) {
        const at = Math.min(size - 1, from + ((n * 7) % stepBytes));
        faults.push({ kind: 'flip', file, at, bit: n % 8 });
      }
    }
    return this.#judge(faults);
  }

  /** Every file lost, cut short, and never written behind some byte. */
  async losses(): Promise<Findings> {
    const faults: Fault[] = [];
    for (const [file, size] of await fileSizes(this.#directory)) {
      faults.push({ kind: 'lost', file });
      for (const part of PARTS) {
        const at = Math.floor(size * part);
        faults.push({ kind: 'zeros', file, from: at });
        if (!LOG.test(file)) faults.push({ kind: 'cut', file, bytes: at });
      }
    }
    return this.#judge(faults);
  }

  async #judge(faults: readonly Fault[]): Promise<Findings> {
    const findings: Findings = { states: faults.length, problems: [] };
    await Promise.all(
      faults.map(async (fault) => {
        const verdict = await this.#judges.judge(this.#directory, fault);
        if (verdict.kind === 'damaged') this.counts.damaged++;
        else if (verdict.kind !== 'content') {
          findings.problems.push(`${describeFault(fault)}: ${JSON.stringify(verdict)}`);
        } else if (verdict.content.digest === this.#whole.digest) this.counts.unchanged++;
        else findings.problems.push(`${describeFault(fault)}: not found out`);
      }),
    );
    return findings;
  }
}

/** A state with everything in it: a table, a log of several blocks, both vote files. */
async function makeState(root: string, directory: string): Promise<void> {
  const copies = join(root, 'copies');
  await mkdir(copies);
  const member = await ScriptedMember.create(directory, new RecordedDisk(directory, copies));
  await member.open('table');
  await member.vote(3, 2);
  for (let index = 2; index < 40; index += 2) {
    await member.append('table', index, 2, 200);
    await member.apply('table', index, 10, index % 8 === 0);
  }
  await member.close();
  await member.open('log');
  for (let index = 40; index < 140; index += 5) {
    await member.append('log', index, 5, 200);
    await member.apply('log', index, 10, false);
  }
  await member.close();
}
