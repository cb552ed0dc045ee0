import { Resources } from '../../proto/index.ts';
import { parseBytes } from '../parse/bytes.ts';
import { parseLabel } from '../parse/key-value.ts';
import { parseNanoCpus, parseWhole } from '../parse/number.ts';
import type { Flags } from './flags.ts';

/** `--limit-cpu`, `--limit-memory`, `--limit-pids`. */
export function changeLimits(current: Resources | null, flags: Flags): Resources | null {
  if (!flags.has('limit-cpu', 'limit-memory', 'limit-pids')) return current;
  const base = current ?? Resources.create();
  return Resources.with(base, {
    nanoCpus: flags.or('limit-cpu', base.nanoCpus, parseNanoCpus),
    memoryBytes: flags.or('limit-memory', base.memoryBytes, parseBytes),
    pids: flags.or('limit-pids', base.pids, (f, t) => parseWhole(f, t)),
  });
}

/** `--reserve-cpu`, `--reserve-memory`, `--generic-resource`. */
export function changeReservations(current: Resources | null, flags: Flags): Resources | null {
  const name = 'generic-resource';
  if (!flags.has('reserve-cpu', 'reserve-memory') && !flags.changes(name)) return current;
  const base = current ?? Resources.create();
  const generic = new Map(Object.entries(base.generic));
  for (const kind of flags.removed(name)) generic.delete(kind);
  for (const text of flags.added(name)) {
    const [kind, count] = parseLabel(`--${name}`, text);
    generic.set(kind, parseWhole(`--${name}`, count));
  }
  return Resources.with(base, {
    nanoCpus: flags.or('reserve-cpu', base.nanoCpus, parseNanoCpus),
    memoryBytes: flags.or('reserve-memory', base.memoryBytes, parseBytes),
    generic: Object.fromEntries(generic),
  });
}
