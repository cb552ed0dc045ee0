import { SwarmError } from '../../shared/errors.ts';
import type { Verb } from '../command.ts';
import type { Context } from '../context.ts';
import { type Column, formatList, type ListOptions } from '../output/list.ts';
import { Flags } from '../spec/flags.ts';
import type { TaskRate, UsageRates } from '../usage/rates.ts';
import { NODE_USAGE_COLUMNS, nodeUsageRow, USAGE_COLUMNS, usageRow } from '../usage/rows.ts';
import { watchUsage } from '../usage/watch.ts';
import { listOptions } from './shared-options.ts';

type Order = 'cpu' | 'memory' | 'name';
const ORDERS: { readonly [order in Order]: (a: TaskRate, b: TaskRate) => number } = {
  cpu: (a, b) => (b.cpuPercent ?? 0) - (a.cpuPercent ?? 0),
  memory: (a, b) => b.usage.memoryBytes - a.usage.memoryBytes,
  name: () => 0,
};

export const top: Verb = {
  declare(command) {
    command
      .argument('[TASK|SERVICE|NODE...]')
      .option('--sort <ORDER>', 'cpu, memory or name')
      .option('--no-stream', 'Show it once');
  },
  async run(context, words, flags) {
    const order = orderOf(flags.text('sort') ?? 'cpu');
    const once = flags.is('no-stream');
    const { signal, end } = untilQuit(context, once);
    try {
      const code = await watchUsage(context, {
        refs: words,
        once,
        signal,
        show: (rates) => page(context, rates, order, once),
      });
      return signal.aborted ? 0 : code;
    } finally {
      end();
    }
  },
};

function orderOf(text: string): Order {
  if (Object.hasOwn(ORDERS, text)) return text as Order;
  throw new SwarmError('INVALID_ARGUMENT', `--sort: "${text}" is none of cpu, memory, name.`);
}

/** Nodes above, tasks below, as many as there is room for. */
function page(context: Context, rates: UsageRates, order: Order, once: boolean): string {
  const nodes = formatList(rates.nodes().map(nodeUsageRow), options(context, NODE_USAGE_COLUMNS));
  const sorted = [...rates.tasks()].sort(ORDERS[order]);
  const { rows } = context.io.terminal.size();
  const room = once || rows === 0 ? sorted.length : Math.max(1, rows - lines(nodes) - 3);
  const tasks = sorted.slice(0, room).map((rate) => usageRow(rate, false));
  return `${nodes}\n${formatList(tasks, options(context, USAGE_COLUMNS))}`;
}

function options(context: Context, columns: readonly Column[]): ListOptions {
  return listOptions(context, new Flags({}), columns);
}

function lines(text: string): number {
  return text.split('\n').length - 1;
}

const CTRL_C = 3;

/** Ends with q or Ctrl-C. */
function untilQuit({ io }: Context, once: boolean): { signal: AbortSignal; end: () => void } {
  const { terminal } = io;
  if (once || !io.isTerminal || !terminal.hasKeyboard) {
    return { signal: io.onInterrupt(), end: () => undefined };
  }
  const quit = new AbortController();
  const restore = terminal.raw();
  const typed = (bytes: Buffer): void => {
    if (bytes.includes('q') || bytes.includes(CTRL_C)) quit.abort();
  };
  terminal.input.on('data', typed);
  return {
    signal: quit.signal,
    end: () => {
      terminal.input.off('data', typed);
      restore();
      terminal.stopReading();
    },
  };
}
