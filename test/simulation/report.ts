import { EVENTS_DEFAULT, type Report } from './crew.ts';

/** What many runs had in common. */
export class Total {
  readonly #counts = new Map<string, number>();
  readonly failures: Report[] = [];
  seeds = 0;
  events = 0;
  #cpuMs = 0;

  add(report: Report): void {
    this.seeds++;
    this.events += report.ran;
    this.#cpuMs += report.cpuMs;
    if (report.violations.length > 0) this.failures.push(report);
    for (const [name, count] of Object.entries(report.counts))
      this.#counts.set(name, this.of(name) + count);
  }
  of(name: string): number {
    return this.#counts.get(name) ?? 0;
  }
  get names(): readonly string[] {
    return [...this.#counts.keys()].sort();
  }
  /** One line for each name, with how often it was counted. */
  lines(names: readonly string[] = this.names): string[] {
    return names.map((name) => `${String(this.of(name)).padStart(10)}  ${name}`);
  }
  summary(): string {
    const rate = Math.round(this.events / (this.#cpuMs / 1_000));
    return (
      `${this.seeds - this.failures.length} of ${this.seeds} seeds hold, ` +
      `${this.events} events, ${rate} events a second and core`
    );
  }
}

/** What went wrong, what had been struck, and the command that repeats it (with `mutant` planted). */
export function describeFailure(report: Report, mutant?: string): string[] {
  const lines = [
    `seed ${report.seed} fails after ${report.ran} events (${report.machines} machines):`,
    ...report.violations.map((violation) => `  ${violation}`),
  ];
  if (report.faults !== undefined) {
    const isNone = report.struck.length === 0;
    lines.push(
      isNone ? '  without any fault' : '  with these faults and no others (number, moment, name):',
    );
    for (const { number, atMs, name } of report.struck)
      lines.push(`  ${String(number).padStart(6)}  ${(atMs / 1_000).toFixed(3)} s  ${name}`);
  }
  return [...lines, `  again: ${commandOf(report, mutant)}`];
}

function commandOf({ seed, events, faults, profile }: Report, mutant: string | undefined): string {
  const more = events === EVENTS_DEFAULT ? '' : ` --events ${events}`;
  const tilt = profile === undefined ? '' : ` --profile '${profile}'`;
  const bug = mutant === undefined ? '' : ` --mutant '${mutant}'`;
  const only = faults === undefined ? '' : ` --faults ${faults.join(',') || 'none'}`;
  return `npm run sim -- --seeds 1 --seed ${seed}${more}${tilt}${bug}${only}`;
}
