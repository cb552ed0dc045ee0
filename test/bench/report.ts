import { loadavg } from 'node:os';

export function line(name: string, value: number, unit: string): void {
  const shown = Math.abs(value) >= 100 ? value.toFixed(0) : value.toFixed(2);
  process.stdout.write(`${name.padEnd(44)} ${shown.padStart(10)} ${unit}\n`);
}

/** Median with the smallest and the largest of at least one value. */
export function spread(name: string, values: readonly number[], unit: string): void {
  const sorted = [...values].sort((a, b) => a - b);
  line(`${name} median of ${sorted.length}`, sorted[Math.floor(sorted.length / 2)]!, unit);
  line(`${name} min`, sorted[0]!, unit);
  line(`${name} max`, sorted.at(-1)!, unit);
}

export function machineLoad(when: string): void {
  line(`machine load ${when}`, loadavg()[0]!, '(1 min)');
}

export function since(startMs: number): number {
  return performance.now() - startMs;
}
