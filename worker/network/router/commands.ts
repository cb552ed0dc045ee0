import type { Changes } from './diff.ts';
import type { Batch, Item, Line } from './items.ts';
import type { Command } from './netcmd.ts';
import { batchCommand, batchText } from './render.ts';

type Typed = Exclude<Batch, 'tasks'>;

/** The programs that carry changes out, in their order; links of containers are set up between them. */
export interface Steps {
  readonly before: readonly Command[];
  /** What encrypted networks go through: they alone wait when it cannot be had. */
  readonly tunnel: readonly Command[];
  /** Devices whose links are to be set up. */
  readonly tasks: readonly string[];
  readonly after: readonly Command[];
}

export function stepsOf(changes: Changes, router: string): Steps {
  const { clear, make, take } = changes;
  const command = (batch: Typed, text: string): Command[] =>
    text === '' ? [] : [batchCommand(batch, router, text)];
  const made = (batch: Typed): Command[] =>
    command(batch, batchText(linesOf(make, 'make', batch), 'add'));
  const taken = (batch: Typed, items: readonly Item[]): Command[] =>
    command(batch, batchText(linesOf(items, 'take', batch), 'delete'));
  // In one step, so that no moment is without a backend.
  const nft = (batch: Typed, away: readonly Item[]): Command[] =>
    command(
      batch,
      batchText(linesOf(away, 'take', batch), 'delete') +
        batchText(linesOf(make, 'make', batch), 'add'),
    );
  return {
    before: [
      ...taken('router6', clear),
      ...taken('router-bridge', clear),
      ...taken('router', clear),
      ...made('host-links'),
    ],
    tunnel: [...taken('tunnel', [...clear, ...take]), ...made('tunnel')],
    tasks: linesOf(make, 'make', 'tasks').map(({ line }) => line),
    after: [
      ...made('router'),
      ...made('router6'),
      ...made('router-bridge'),
      // The host sends nothing to a door before the router knows it, and nothing after.
      ...taken('host-nft', take),
      ...nft('router-nft', [...clear, ...take]),
      ...nft('host-nft', clear),
      ...taken('router6', take),
      ...taken('router-bridge', take),
      ...taken('router', take),
    ],
  };
}

function linesOf(items: readonly Item[], what: 'make' | 'take', batch: Batch): readonly Line[] {
  return items.map((item) => item[what]).filter((line) => line.batch === batch);
}
