import type { Command } from 'commander';
import type { Freshness } from '../../proto/index.ts';
import type { Context } from '../context.ts';
import { jsonView } from '../output/json-view.ts';
import { formatInspect, type ListOptions } from '../output/list.ts';
import { isoLocal } from '../output/relative-time.ts';
import { warn } from '../output/warning.ts';
import { collect } from '../spec/declare-options.ts';
import type { Flags } from '../spec/flags.ts';

const FORMAT = 'table, "table TEMPLATE", json or a template such as {{.Name}}';

/** The options of every `ls` and `ps`. */
export function declareList(command: Command, filters: readonly string[]): Command {
  return command
    .option('-f, --filter <KEY=VALUE>', `Only these: ${filters.join(', ')}`, collect)
    .option('--format <FORMAT>', FORMAT)
    .option('-q, --quiet', 'Only ids')
    .option('--no-trunc', 'Whole ids and messages');
}

export function declareInspect(command: Command): Command {
  return command.option('-f, --format <FORMAT>', 'json or a template such as {{.Spec.Name}}');
}

export function declareDetach(command: Command): Command {
  return command
    .option('-d, --detach', 'Do not wait until it has converged')
    .option('-q, --quiet', 'Show no progress');
}

/** Of a list that fits into the terminal, or, with `--no-trunc`, is as wide as it gets. */
export function listOptions(
  context: Context,
  flags: Flags,
  columns: ListOptions['columns'],
  idField = 'ID',
): ListOptions {
  const { isTerminal, columns: width } = context.io;
  return {
    format: flags.text('format'),
    quiet: flags.is('quiet'),
    columns,
    idField,
    width: isTerminal && !flags.is('no-trunc') ? width : undefined,
  };
}

/** Prints objects of an `inspect`. */
export function printInspect(context: Context, objects: readonly unknown[], flags: Flags): void {
  context.io.out(formatInspect(objects.map(jsonView), flags.text('format')));
}

/** 12 characters of an id, or all of them. */
export function shortId(id: string, flags: Flags): string {
  return flags.is('no-trunc') ? id : id.slice(0, 12);
}

/** Says so when an answer may be old: no leader is known. */
export function warnStale(context: Context, freshness: Freshness | null): void {
  if (freshness?.stale !== true) return;
  const why = freshness.reason === '' ? '' : ` (${freshness.reason})`;
  const { asOfWallMs } = freshness;
  const asOf = asOfWallMs === 0 ? 'of a time that is not known' : `as of ${isoLocal(asOfWallMs)}`;
  warn(context, [`stale, ${asOf}${why}`]);
}

/**
 * Does one thing with each object that was named, goes on after an error, and prints all of them: the
 * code is that of the first.
 */
export async function forEachNamed<T>(
  named: readonly T[],
  report: (error: unknown) => number,
  act: (one: T) => Promise<void>,
): Promise<number> {
  let code = 0;
  for (const one of named) {
    try {
      await act(one);
    } catch (error) {
      const failed = report(error);
      if (code === 0) code = failed;
    }
  }
  return code;
}
