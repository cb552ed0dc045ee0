/**
 * `npm run storage -- [kills=500] [torn=200] [flip=1] [only=crash,faults,disk,kills]`: the tests of
 * this folder at length. `torn`: states inside each write, `flip`: one bit in so many bytes.
 */
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SeededRandom } from '../../../shared/random.ts';
import { CrashCheck, describePoints, type Findings } from './crash-check.ts';
import { DiskFaults } from './disk-faults.ts';
import { FullDiskRuns } from './full-disk-runs.ts';
import { Judges } from './judges.ts';
import { Kills } from './kills.ts';
import { LoneManager } from './lone-manager.ts';
import { runScript } from './script.ts';
import { SmallDisk } from './small-disk.ts';

const ROOMS = [0, 4_096, 8_192, 65_536, 400_000];
const DISK_BYTES = 40 << 20;
const MANAGERS = 2;

const named = new Map(process.argv.slice(2).map((arg) => arg.split('=') as [string, string]));
const number = (name: string, otherwise: number) => Number(named.get(name) ?? otherwise);
const PARTS = { crash, faults, disk, kills };
const parts = (named.get('only') ?? Object.keys(PARTS).join(',')).split(',');

let failures = 0;
for (const part of parts) {
  const root = await mkdtemp(join(tmpdir(), 'swarm-storage-'));
  try {
    await PARTS[part as keyof typeof PARTS](root);
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}
process.exitCode = failures === 0 ? 0 : 1;

async function crash(root: string): Promise<void> {
  const script = await runScript(root);
  const judges = new Judges(root, 2);
  const check = new CrashCheck(script, judges);
  const found = await check.everyWrite(number('torn', 200));
  report(`crashes at ${describePoints(script.points)}`, found);
  report('crashes at every byte of the last two batches', await check.lastTwoBatches());
  await judges.close();
}

async function faults(root: string): Promise<void> {
  const judges = new Judges(root, 2);
  const check = await DiskFaults.prepare(root, judges);
  report('flipped bits', await check.flips(number('flip', 1)));
  report('lost, cut and empty files', await check.losses());
  await judges.close();
}

async function disk(root: string): Promise<void> {
  const base = join(root, 'base');
  await LoneManager.create(base);
  const small = await SmallDisk.mount(join(root, 'disk'), DISK_BYTES);
  try {
    const runs = new FullDiskRuns(small, (to) => cp(base, to, { recursive: true }));
    const writes = await runs.count();
    const findings: Findings = { states: 0, problems: [] };
    for (let at = 0; at <= writes; at++) {
      for (const room of ROOMS) {
        const problem = await runs.fillAt(at, room);
        findings.states++;
        if (problem !== '') findings.problems.push(`write ${at}, ${room} bytes left: ${problem}`);
      }
    }
    report(`a full disk at each of ${writes} writes`, findings);
  } finally {
    await small.unmount();
  }
}

async function kills(root: string): Promise<void> {
  const findings: Findings = { states: 0, problems: [] };
  const loop = async (n: number): Promise<void> => {
    const directory = join(root, `m${n}`);
    await LoneManager.create(directory);
    const one = new Kills(directory, new SeededRandom(n));
    while (one.kills < number('kills', 500) / MANAGERS) {
      const problem = await one.once();
      findings.states++;
      if (problem !== '') findings.problems.push(`manager ${n}, kill ${one.kills}: ${problem}`);
    }
  };
  await Promise.all(Array.from({ length: MANAGERS }, (_, n) => loop(n)));
  report('kills', findings);
}

function report(what: string, { states, problems }: Findings): void {
  failures += problems.length;
  process.stdout.write(`${what}: ${states} states, ${problems.length} wrong\n`);
  for (const problem of problems.slice(0, 20)) process.stdout.write(`  ${problem}\n`);
}
