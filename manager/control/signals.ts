import { constants } from 'node:os';

const NAMES: { readonly [name: string]: number } = constants.signals;

/**
 * The name of a signal given as SIGTERM, TERM or 15 (case does not matter); numbers that have no
 * name (real-time signals, up to 64) stay numbers. Undefined: no signal.
 */
export function signalName(text: string): string | undefined {
  const word = text.trim().toUpperCase();
  if (/^\d+$/.test(word)) {
    const number = Number(word);
    if (number < 1 || number > 64) return undefined;
    return Object.keys(NAMES).find((name) => NAMES[name] === number) ?? String(number);
  }
  const name = word.startsWith('SIG') ? word : `SIG${word}`;
  return Object.hasOwn(NAMES, name) ? name : undefined;
}
