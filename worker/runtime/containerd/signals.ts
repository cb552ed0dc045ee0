import { constants } from 'node:os';

const SIGTERM = 15;

/** `SIGTERM` → 15. Unknown names, which no plan lets through, are taken for SIGTERM. */
export function signalNumber(name: string): number {
  return (constants.signals as { readonly [name: string]: number })[name] ?? SIGTERM;
}
