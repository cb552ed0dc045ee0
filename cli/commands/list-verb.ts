import type { Command } from 'commander';
import { type Freshness, ListRequest, type Method } from '../../proto/index.ts';
import type { Verb } from '../command.ts';
import { type Column, formatList, type Row } from '../output/list.ts';
import { warn } from '../output/warning.ts';
import { parseFilters } from '../parse/filter.ts';
import type { Flags } from '../spec/flags.ts';
import { declareList, listOptions, warnStale } from './shared-options.ts';

interface Answer {
  readonly freshness: Freshness | null;
  readonly warnings?: readonly string[];
}

/** What the `ls` of one kind of thing asks for, and shows of the answer. */
interface Listing<A extends Answer> {
  readonly method: Method<ListRequest, A, false, false>;
  readonly filters: readonly string[];
  readonly columns: readonly Column[];
  /** `nowMs`: wall milliseconds. */
  readonly rows: (answer: A, flags: Flags, nowMs: number) => readonly Row[];
  /** Field that `-q` prints; default: ID. */
  readonly idField?: string;
  /** Adds what it has beyond the options of every list. */
  readonly declare?: (command: Command) => void;
}

export function listVerb<A extends Answer>(listing: Listing<A>): Verb {
  const { method, filters, columns, rows, idField, declare } = listing;
  return {
    declare(command) {
      declareList(command, filters);
      declare?.(command);
    },
    async run(context, _words, flags) {
      const wanted = parseFilters(flags.list('filter'), filters);
      const session = await context.connect();
      const answer = await session.read(method, ListRequest.create({ filters: wanted }));
      warnStale(context, answer.freshness);
      const shown = rows(answer, flags, context.io.clock.wallMs());
      context.io.out(formatList(shown, listOptions(context, flags, columns, idField)));
      warn(context, answer.warnings ?? []);
      return undefined;
    },
  };
}
