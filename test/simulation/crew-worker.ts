/** One process of a crew: runs the seeds that its parent sends. Its arguments: a bug to plant, and how. */
import { register } from 'node:module';
import type { Order, Report } from './crew.ts';
import { TOOK_EFFECT } from './mutants/mutant.ts';
import { MUTANTS } from './mutants/mutants.ts';
import { PROFILES } from './profiles.ts';

/** How often what was planted made a difference in this run: its text calls this, which is never true. */
let effects = 0;
Object.assign(globalThis, {
  tookEffect: () => {
    effects++;
    return false;
  },
});

const [mutant, how] = process.argv.slice(2);
if (mutant !== undefined) plant(mutant, how !== 'without it');
// After the bug is planted: what is loaded is changed as it is loaded.
const { simulate } = await import('./simulate.ts');
const { makeSecrets } = await import('./cluster/secrets.ts');
const secrets = await makeSecrets();

let isFailing: (error: unknown) => void = () => undefined;
process.on('unhandledRejection', (error) => isFailing(error));
process.on('disconnect', () => process.exit());
process.on('message', async (order: Order) => {
  const before = process.cpuUsage();
  const found = await runOrder(order);
  const { user, system } = process.cpuUsage(before);
  process.send!({ ...order, ...found, cpuMs: (user + system) / 1_000 } satisfies Report);
});

/** What production code throws where nobody catches it is a finding, too. */
async function runOrder(order: Order): Promise<Omit<Report, 'cpuMs'>> {
  const { seed, events, faults, profile, isTraced } = order;
  const thrown: string[] = [];
  effects = 0;
  isFailing = (error) => thrown.push(`nobody caught: ${stackOf(error)}`);
  const nothing = { machines: 0, events: 0, simulatedMs: 0, violations: [], struck: [] };
  const result = await simulate(seed, secrets, {
    events,
    ...(faults && { isLeftOut: (number: number) => !faults.includes(number) }),
    ...(profile !== undefined && { profile: PROFILES[profile]! }),
    ...(isTraced && { trace: console.log }),
  }).catch((error: unknown) => ({
    ...nothing,
    violations: [`the simulation threw: ${stackOf(error)}`],
    counters: undefined,
  }));
  const { machines, simulatedMs, struck } = result;
  return {
    seed,
    events,
    machines,
    simulatedMs,
    struck,
    ran: result.events,
    violations: [...result.violations, ...thrown],
    counts: { ...result.counters?.record(), [TOOK_EFFECT]: effects },
  };
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

function plant(name: string, isWhole: boolean): void {
  const found = MUTANTS.find((known) => known.name === name);
  if (!found) throw new Error(`no such bug: ${name}`);
  const url = import.meta.url.replace('crew-worker', 'mutants/mutant-hooks');
  const { patches, aids } = found;
  register(url, { data: { patches: isWhole ? [...patches, ...aids] : aids } });
}
