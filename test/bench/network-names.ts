import { writeFileSync } from 'node:fs';
import { tempDir } from '../support/swarm.ts';
import { BenchNode, cpuMs } from './network-world.ts';
import { line, spread } from './report.ts';

const ROUNDS = 5;
const SECONDS = 3;
const SERVICES = 1_000;
const ENDPOINTS = 10;

/**
 * How many names netd answers: dnsperf in a container, through 127.0.0.11, on 1,000 services of 10
 * tasks, half of the questions for virtual addresses, half for all tasks of a service.
 */
export async function networkNames(): Promise<void> {
  const directory = tempDir();
  const node = await BenchNode.make(SERVICES, ENDPOINTS);
  try {
    const file = `${directory.path}/questions`;
    const names = Array.from({ length: SERVICES }, (_, at) => `s${at} A\ntasks.s${at} A\n`);
    writeFileSync(file, names.join(''));
    const pid = await node.resolvers.netd(1);
    const rates: number[] = [];
    const onOneCore: number[] = [];
    let lost = 0;
    for (let round = 0; round <= ROUNDS; round++) {
      const before = cpuMs(pid);
      const text = await node.hosts.must(
        node.namespace,
        `dnsperf -s 127.0.0.11 -d ${file} -l ${SECONDS} -c 4 -q 100 2>&1`,
      );
      const [answered, asked] = [/completed:\s+(\d+)/, /sent:\s+(\d+)/].map((each) =>
        Number(each.exec(text)?.[1]),
      );
      // The first is for the engine to compile what it runs.
      if (round === 0) continue;
      lost += asked! - answered!;
      rates.push(answered! / SECONDS);
      onOneCore.push((answered! * 1_000) / (cpuMs(pid) - before));
    }
    spread('names: answers a second', rates, '1/s');
    spread('names: answers a second of netd on a core', onOneCore, '1/s');
    line('names: questions without an answer', lost, '');
  } finally {
    await node.end();
    directory.remove();
  }
}
