import { formatTable } from './table.ts';
import { Template } from './template.ts';

export type Row = { readonly [field: string]: string | number | boolean | object };

/** A column of the usual table: heading and the field (or how it is made). */
export interface Column {
  readonly heading: string;
  readonly cell: (row: Row) => string;
}

export interface ListOptions {
  readonly format: string | undefined;
  readonly quiet: boolean;
  readonly columns: readonly Column[];
  /** Field that `-q` prints. */
  readonly idField: string;
}

export function column(heading: string, field: string): Column {
  return { heading, cell: (row) => String(row[field] ?? '') };
}

/** A list as Docker prints it: table, `table TEMPLATE`, `json` (an object a line), TEMPLATE, `-q`. */
export function formatList(rows: readonly Row[], options: ListOptions): string {
  const format = options.format ?? 'table';
  if (options.quiet && !/\{\{/.test(format)) {
    return rows.map((row) => `${row[options.idField]}\n`).join('');
  }
  if (format === 'table') {
    const heading = options.columns.map((c) => c.heading);
    return formatTable([heading, ...rows.map((row) => options.columns.map((c) => c.cell(row)))]);
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
