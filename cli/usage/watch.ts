import { ControlService, type UsageItem, UsageItemsRequest } from '../../proto/index.ts';
import type { Context } from '../context.ts';
import { printable } from '../output/printable.ts';
import { INTERRUPTED } from '../wait.ts';
import { UsageRates } from './rates.ts';

const INTERVAL_MS = 1_000;
/** Nodes tell at different moments: what comes within this goes onto the screen together. */
const GATHER_MS = 200;

export interface UsageWatch {
  readonly refs: readonly string[];
  /** One table, then the end. */
  readonly once: boolean;
  /** What is printed now. */
  readonly show: (rates: UsageRates) => string;
  /** Aborts when nobody looks any more. */
  readonly signal: AbortSignal;
}

/** Shows what tasks use: over itself on a terminal, one table after the other elsewhere. */
export async function watchUsage(context: Context, watch: UsageWatch): Promise<number> {
  const { io } = context;
  const session = await context.connect();
  const rates = new UsageRates();
  const notes = new Set<string>();
  const { refs, once, signal } = watch;
  const request = UsageItemsRequest.create({ refs, once, intervalMs: INTERVAL_MS });
  const live = io.isTerminal && !once;
  let pending: { cancel(): void } | undefined;
  const draw = (): void => {
    pending = undefined;
    const lines = [...notes].map((note) => `WARNING: ${printable(note)}\n`).join('');
    if (live) io.out(overwritten(`${watch.show(rates)}${lines}`));
    else io.out(watch.show(rates));
  };
  if (live) io.out('\x1b[2J');
  try {
    for await (const item of session.stream(ControlService.usage, request, signal)) {
      take(item, rates, notes, live ? undefined : io.err);
      if (!once) pending ??= io.clock.setTimer(GATHER_MS, draw);
    }
    if (once) draw();
    return 0;
  } catch (error) {
    if (signal.aborted) return INTERRUPTED;
    throw error;
  } finally {
    pending?.cancel();
  }
}

function take(
  item: UsageItem,
  rates: UsageRates,
  notes: Set<string>,
  complain: ((text: string) => void) | undefined,
): void {
  rates.take(item);
  if (item.note === '' || notes.has(item.note)) return;
  notes.add(item.note);
  complain?.(`WARNING: ${printable(item.note)}\n`);
}

/** From the upper left corner, each line to its end, nothing below. */
function overwritten(text: string): string {
  return `\x1b[H${text.replaceAll('\n', '\x1b[K\n')}\x1b[J`;
}
