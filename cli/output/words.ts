import { Availability, Liveness, RolloutState, ServiceMode, TaskState } from '../../proto/index.ts';

type Numbered = { readonly [name: string]: number };

/** "STOP_FIRST" of an enum as "stop-first"; an unknown number, of a newer release, stays a number. */
export function wordOf(words: Numbered, value: number): string {
  for (const [name, number] of Object.entries(words))
    if (number === value) return name.toLowerCase().replaceAll('_', '-');
  return String(value);
}

/** "STOP_FIRST" as "Stop-first", for tables. */
function capital(words: Numbered, value: number): string {
  const word = wordOf(words, value);
  return word.charAt(0).toUpperCase() + word.slice(1);
}

export const stateWord = (state: TaskState): string => capital(TaskState, state);
export const modeWord = (mode: ServiceMode): string => wordOf(ServiceMode, mode);
export const availabilityWord = (availability: Availability): string =>
  capital(Availability, availability);
export const livenessWord = (liveness: Liveness): string => capital(Liveness, liveness);
export const rolloutWord = (state: RolloutState): string =>
  wordOf(RolloutState, state).replaceAll('-', ' ');
