import { fitTable } from './fit-table.ts';
import { formatTable } from './table.ts';
import { Template } from './template.ts';

export type Row = { readonly [field: string]: string | number | boolean | object };

/** A column of the usual table: heading and the field (or how it is made). */
export interface Column {
  readonly heading: string;
  readonly cell: (row: Row) => string;
  /** A terminal without room for all leaves it out, the lowest rank first; none: it always stays. */
  readonly rank?: number;
}

export interface ListOptions {
  readonly format: string | undefined;
  readonly quiet: boolean;
  readonly columns: readonly Column[];
  /** Field that `-q` prints. */
  readonly idField: string;
  /** Characters in a line of the terminal; undefined: as wide as it gets. */
  readonly width?: number | undefined;
}

export function column(heading: string, field: string, rank?: number): Column {
  const cell = (row: Row): string => String(row[field] ?? '');
  return rank === undefined ? { heading, cell } : { heading, cell, rank };
}

/** A list as Docker prints it: table, `table TEMPLATE`, `json` (an object a line), TEMPLATE, `-q`. */
export function formatList(rows: readonly Row[], options: ListOptions): string {
  const format = options.format ?? 'table';
  if (options.quiet && !/\{\{/.test(format)) {
    return rows.map((row) => `${row[options.idField]}\n`).join('');
  }
  if (format === 'table') {
    const { columns, width = Number.POSITIVE_INFINITY } = options;
    const cells = rows.map((row) => columns.map((c) => c.cell(row)));
    const fitting = fitTable(
      [columns.map((c) => c.heading), ...cells],
      columns.map((c) => c.rank),
      width,
    );
    return formatTable(fitting.rows, fitting.gap);
  }
  if (format === 'json') return rows.map((row) => `${JSON.stringify(row)}\n`).join('');
  if (format.startsWith('table ')) {
    const template = new Template(format.slice('table '.length));
    const lines = [template.heading(), ...rows.map((row) => template.render(row))];
    return formatTable(lines.map((line) => line.split('\t')));
  }
  const template = new Template(format);
  return rows.map((row) => `${template.render(row)}\n`).join('');
}

/** Objects of an `inspect`: an array of JSON, or a template over each. */
export function formatInspect(objects: readonly unknown[], format: string | undefined): string {
  if (format === undefined || format === 'json') return `${JSON.stringify(objects, null, 2)}\n`;
  const template = new Template(format);
  return objects.map((object) => `${template.render(object)}\n`).join('');
}
