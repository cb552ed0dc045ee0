/**
 * Reads test scripts in the form that etcd's are written in: a command line, input lines, a line
 * `----`, the expected output up to an empty line (or, when that itself starts with `----`, up to
 * two such lines). `#` starts a comment between commands, `subtest` a part of the script; `\` at its end
 * continues a command line.
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
    // Names a part of the script; neither input nor output.
    if (/^subtest\s/.test(line)) {
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

/** A command with its arguments: `word`, `key=value`, `key=(a, b)`; values may have parentheses. */
export function parseLine(line: string): { command: string; args: Argument[] } {
  const [, command = '', rest = ''] = /^\s*(\S*)\s*(.*)$/s.exec(line)!;
  const args: Argument[] = [];
  let left = rest.trim();
  while (left !== '') {
    const [key] = /^[^ =]*/.exec(left)!;
    if (key === '') throw new Error(`cannot parse: ${line}`);
    left = left.slice(key.length);
    if (!left.startsWith('=')) {
      args.push({ key, values: [] });
    } else if (left.startsWith('=(')) {
      const { values, end } = parseList(left, 2, line);
      args.push({ key, values });
      left = left.slice(end);
    } else {
      const [value] = /^[^ ]*/.exec(left.slice(1))!;
      args.push({ key, values: [value] });
      left = left.slice(1 + value.length);
    }
    left = left.trim();
  }
  return { command, args };
}

/** The values from `start`, behind an opening parenthesis, and where the closing one ends. */
function parseList(text: string, start: number, line: string): { values: string[]; end: number } {
  const values: string[] = [];
  let depth = 1;
  let from = start;
  for (let at = start; at < text.length; at++) {
    if (text[at] === '(') depth++;
    if (text[at] === ')') depth--;
    const isCut = depth === 0 || (depth === 1 && text[at] === ',');
    if (!isCut) continue;
    values.push(text.slice(from, at).trim());
    from = at + 1;
    if (depth > 0) continue;
    return { values: values.length === 1 && values[0] === '' ? [] : values, end: at + 1 };
  }
  throw new Error(`cannot parse: ${line}`);
}

export function boolean(value: string): boolean {
  if (/^(1|t|T|TRUE|true|True)$/.test(value)) return true;
  if (/^(0|f|F|FALSE|false|False)$/.test(value)) return false;
  throw new Error(`strconv.ParseBool: parsing "${value}": invalid syntax`);
}

export function integer(value: string): number {
  if (!/^\d+$/.test(value)) throw new Error(`no number: ${value}`);
  return Number(value);
}
