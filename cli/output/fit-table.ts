import { displayWidth, truncate } from './table.ts';

/** Between columns where room is short; elsewhere three. */
const NARROW_GAP = 2;
/** A cell is not cut to less: what is left would say nothing. */
const SHORTEST = 8;

type Rows = readonly (readonly string[])[];

/**
 * Makes rows, the heading first, fit into `width` characters, as far as they can: columns in which
 * nothing stands go first, then those of a rank, the lowest rank first, then the widest cells are cut.
 * `ranks` belong to the columns; undefined: never left out. Returns also the gap that fits.
 */
export function fitTable(
  rows: Rows,
  ranks: readonly (number | undefined)[],
  width: number,
): { readonly rows: Rows; readonly gap: number } {
  if (rows.length === 1 || total(widthsOf(rows), 3) <= width) return { rows, gap: 3 };
  let kept = rows[0]!.map((_, i) => i).filter((i) => rows.slice(1).some((row) => row[i] !== ''));
  const order = kept.filter((i) => ranks[i] !== undefined).sort((a, b) => ranks[a]! - ranks[b]!);
  const tooWide = (): boolean => total(widthsOf(pick(rows, kept)), NARROW_GAP) > width;
  for (let next = order.shift(); next !== undefined && tooWide(); next = order.shift())
    kept = kept.filter((i) => i !== next);
  return { rows: cutWidest(pick(rows, kept), width), gap: NARROW_GAP };
}

function cutWidest(rows: Rows, width: number): Rows {
  const widths = [...widthsOf(rows)];
  while (total(widths, NARROW_GAP) > width) {
    const most = Math.max(...widths);
    if (most <= SHORTEST) break;
    widths[widths.lastIndexOf(most)] = most - 1;
  }
  return rows.map((row) => row.map((cell, i) => truncate(cell, widths[i]!)));
}

function pick(rows: Rows, columns: readonly number[]): Rows {
  return rows.map((row) => columns.map((i) => row[i]!));
}

function widthsOf(rows: Rows): readonly number[] {
  return rows[0]!.map((_, i) => Math.max(...rows.map((row) => displayWidth(row[i]!))));
}

function total(widths: readonly number[], gap: number): number {
  return widths.reduce((sum, width) => sum + width, 0) + gap * (widths.length - 1);
}
