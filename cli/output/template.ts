import { bad, parseTemplate, type TemplateNode, type Term } from './template-parse.ts';

/** A template ready to be used on many objects. */
export class Template {
  readonly #nodes: readonly TemplateNode[];

  constructor(source: string) {
    this.#nodes = parseTemplate(source);
  }
  render(data: unknown): string {
    return renderAll(this.#nodes, data, data);
  }
  /** The names of the fields it shows, in capitals: the heading of a "table" format. */
  heading(): string {
    const nodes = this.#nodes.map((node): TemplateNode => {
      if (node.kind !== 'value') return node;
      return { kind: 'text', text: headingOf(node.term) };
    });
    return renderAll(nodes, {}, {});
  }
}

function headingOf(term: Term): string {
  if (term.kind === 'field') {
    return (term.path.at(-1) ?? '').replace(/([a-z0-9])([A-Z])/g, '$1 $2').toUpperCase();
  }
  if (term.kind === 'literal') return String(term.value);
  return term.args.map(headingOf).find((text) => text !== '') ?? '';
}

function renderAll(nodes: readonly TemplateNode[], dot: unknown, root: unknown): string {
  return nodes.map((node) => renderNode(node, dot, root)).join('');
}

function renderNode(node: TemplateNode, dot: unknown, root: unknown): string {
  if (node.kind === 'text') return node.text;
  const value = evaluate(node.term, dot, root);
  if (node.kind === 'value') return show(value);
  if (!truthy(value)) return renderAll(node.otherwise, dot, root);
  if (node.kind === 'if') return renderAll(node.body, dot, root);
  if (node.kind === 'with') return renderAll(node.body, value, root);
  const items = Array.isArray(value) ? value : Object.values(value as object);
  return items.map((item) => renderAll(node.body, item, root)).join('');
}

function evaluate(term: Term, dot: unknown, root: unknown): unknown {
  if (term.kind === 'literal') return term.value;
  if (term.kind === 'field') {
    return term.path.reduce((value, name) => field(value, name), term.root ? root : dot);
  }
  const call = Object.hasOwn(FUNCTIONS, term.name) ? FUNCTIONS[term.name] : undefined;
  if (call === undefined) {
    throw bad(`there is no function "${term.name}", only ${Object.keys(FUNCTIONS).join(', ')}`);
  }
  return call(...(term.args.map((arg) => evaluate(arg, dot, root)) as never[]));
}

/** Exact name first, then without regard to capitals; a field that is absent is an error. */
function field(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined;
  if (Object.hasOwn(value, name)) return (value as { [key: string]: unknown })[name];
  const key = Object.keys(value).find((k) => k.toLowerCase() === name.toLowerCase());
  if (key !== undefined) return (value as { [key: string]: unknown })[key];
  throw bad(
    `there is no field .${name}, only ${Object.keys(value).join(', ') || 'an empty object'}`,
  );
}

function truthy(value: unknown): boolean {
  if (Array.isArray(value)) return value.length > 0;
  if (typeof value === 'object' && value !== null) return Object.keys(value).length > 0;
  return Boolean(value);
}

function show(value: unknown): string {
  if (value === undefined || value === null) return '<no value>';
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

const FUNCTIONS: { readonly [name: string]: (...args: never[]) => unknown } = {
  json: (value: unknown) => JSON.stringify(value),
  upper: (text: unknown) => show(text).toUpperCase(),
  lower: (text: unknown) => show(text).toLowerCase(),
  title: (text: unknown) => show(text).replace(/\b\w/g, (char) => char.toUpperCase()),
  join: (items: readonly unknown[], separator: unknown) =>
    Array.isArray(items) ? items.map(show).join(show(separator)) : show(items),
  split: (text: unknown, separator: unknown) => show(text).split(show(separator)),
  len: (value: unknown) =>
    typeof value === 'string' || Array.isArray(value)
      ? value.length
      : Object.keys((value as object) ?? {}).length,
  index: (value: unknown, key: unknown) =>
    Array.isArray(value) || typeof value === 'object'
      ? (value as { [key: string]: unknown } | null)?.[String(key)]
      : undefined,
  truncate: (text: unknown, count: number) => show(text).slice(0, Number(count)),
  pad: (text: unknown, before: number, after: number) =>
    ' '.repeat(Number(before)) + show(text) + ' '.repeat(Number(after)),
  println: (...values: readonly unknown[]) => `${values.map(show).join(' ')}\n`,
  eq: (a: unknown, ...others: readonly unknown[]) => others.some((other) => other === a),
  ne: (a: unknown, b: unknown) => a !== b,
  not: (value: unknown) => !truthy(value),
  and: (...values: readonly unknown[]) => values.find((value) => !truthy(value)) ?? values.at(-1),
  or: (...values: readonly unknown[]) => values.find((value) => truthy(value)) ?? values.at(-1),
};
