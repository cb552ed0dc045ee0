/**
 * Reads test scripts in the form that etcd's are written in: a command line, input lines, a line
 * `----`, the expected output up to an empty line (or, when that itself starts with `----`, up to
 * two such lines). `#` starts a comment between commands; `\` at its end continues a command line.
 */

export interface Argument {
  readonly key: string;
  /** Empty for a bare word; several for `key=(a,b)`. */
  readonly values: readonly string[];
}

export interface Directive {
  /** 1-based line of the command. */
  readonly line: number;
  readonly command: string;
  readonly args: readonly Argument[];
  readonly input: string;
  readonly expected: string;
}

const SEPARATOR = '----';

export function parseScript(text: string): Directive[] {
  const lines = text.split('\n');
  const directives: Directive[] = [];
  let at = 0;
  while (at < lines.length) {
    const line = lines[at]!.trim();
    if (line === '' || line.startsWith('#')) {
      at++;
      continue;
    }
    const parsed = parseDirective(lines, at);
    directives.push(parsed.directive);
    at = parsed.next;
  }
  return directives;
}

function parseDirective(lines: string[], start: number): { directive: Directive; next: number } {
  let at = start;
  let commandLine = lines[at++]!.trim();
  while (commandLine.endsWith('\\')) {
    commandLine = `${commandLine.slice(0, -1)} ${(lines[at++] ?? '').trim()}`;
  }
  const { command, args } = parseLine(commandLine);
  const input: string[] = [];
  while (at < lines.length && lines[at] !== SEPARATOR) input.push(lines[at++]!);
  if (at >= lines.length) throw new Error(`line ${start + 1}: no ---- after the command`);
  at++;
  const { expected, next } = parseExpected(lines, at);
  const text = input.join('\n').trim();
  return { directive: { line: start + 1, command, args, input: text, expected }, next };
}

function parseExpected(lines: string[], start: number): { expected: string; next: number } {
  const expected: string[] = [];
  let at = start;
  if (lines[at] === SEPARATOR) {
    at++;
    while (at < lines.length && !(lines[at] === SEPARATOR && lines[at + 1] === SEPARATOR)) {
      expected.push(lines[at++]!);
    }
    return { expected: ended(expected), next: at + 2 };
  }
  while (at < lines.length && lines[at]!.trim() !== '') expected.push(lines[at++]!);
  return { expected: ended(expected), next: at };
}

function ended(lines: string[]): string {
  return lines.length === 0 ? '' : `${lines.join('\n')}\n`;
}

/** A command with its arguments: `word`, `key=value`, `key=(a, b)`. */
export function parseLine(line: string): { command: string; args: Argument[] } {
  const fields = splitFields(line);
  const args = fields.slice(1).map((field) => {
    const equals = field.indexOf('=');
    if (equals < 0) return { key: field, values: [] };
    const key = field.slice(0, equals);
    const value = field.slice(equals + 1);
    if (!value.startsWith('(')) return { key, values: [value] };
    const inner = value.slice(1, -1);
    const values = inner === '' ? [] : inner.split(',').map((v) => v.trim());
    return { key, values };
  });
  return { command: fields[0]!, args };
}

/** Splits at blanks that are not inside of parentheses. */
function splitFields(line: string): string[] {
  const fields: string[] = [];
  let field = '';
  let depth = 0;
  for (const c of line) {
    if (c === '(') depth++;
    if (c === ')') depth--;
    if (/\s/.test(c) && depth === 0) {
      if (field !== '') fields.push(field);
      field = '';
    } else {
      field += c;
    }
  }
  if (field !== '') fields.push(field);
  return fields;
}

export function boolean(value: string): boolean {
  if (value === 'true') return true;
  if (value === 'false') return false;
  throw new Error(`neither true nor false: ${value}`);
}

export function integer(value: string): number {
  if (!/^\d+$/.test(value)) throw new Error(`no number: ${value}`);
  return Number(value);
}
