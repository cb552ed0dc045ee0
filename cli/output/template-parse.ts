import { SwarmError } from '../../shared/errors.ts';

/** A term of a template's action. */
export type Term =
  | { readonly kind: 'field'; readonly path: readonly string[]; readonly root: boolean }
  | { readonly kind: 'literal'; readonly value: string | number | boolean }
  | { readonly kind: 'call'; readonly name: string; readonly args: readonly Term[] };

export type TemplateNode =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'value'; readonly term: Term }
  | {
      readonly kind: 'if' | 'range' | 'with';
      readonly term: Term;
      readonly body: readonly TemplateNode[];
      readonly otherwise: readonly TemplateNode[];
    };

type Block = {
  kind: 'if' | 'range' | 'with';
  term: Term;
  body: TemplateNode[];
  otherwise: TemplateNode[];
};

/** Parses Go's text/template as far as output formats use it; `\t` and `\n` may be written so. */
export function parseTemplate(source: string): readonly TemplateNode[] {
  const root: TemplateNode[] = [];
  const open: { block: Block; target: TemplateNode[] }[] = [];
  let target = root;
  for (const piece of pieces(source)) {
    if (piece.action === undefined) {
      target.push({ kind: 'text', text: piece.text });
      continue;
    }
    const [word] = piece.action.split(/\s+/, 1);
    const rest = piece.action.slice(word!.length).trim();
    if (word === 'if' || word === 'range' || word === 'with') {
      const block: Block = { kind: word, term: parsePipeline(rest), body: [], otherwise: [] };
      target.push(block);
      open.push({ block, target });
      target = block.body;
    } else if (word === 'else' && open.length > 0) {
      target = open.at(-1)!.block.otherwise;
    } else if (word === 'end' && open.length > 0) {
      target = open.pop()!.target;
    } else target.push({ kind: 'value', term: parsePipeline(piece.action) });
  }
  if (open.length > 0) throw bad(`{{${open.at(-1)!.block.kind}}} has no {{end}}`);
  return root;
}

function pieces(source: string): { readonly text: string; readonly action?: string }[] {
  const out: { text: string; action?: string }[] = [];
  const text = source.replaceAll('\\t', '\t').replaceAll('\\n', '\n');
  let at = 0;
  while (at < text.length) {
    const start = text.indexOf('{{', at);
    if (start < 0) break;
    const end = text.indexOf('}}', start);
    if (end < 0) throw bad('{{ has no }}');
    if (start > at) out.push({ text: text.slice(at, start) });
    out.push({
      text: '',
      action: text
        .slice(start + 2, end)
        .replace(/^-|-$/g, '')
        .trim(),
    });
    at = end + 2;
  }
  if (at < text.length) out.push({ text: text.slice(at) });
  return out;
}

const TOKEN =
  /\s*(?:("(?:[^"\\]|\\.)*"|`[^`]*`)|(-?\d+(?:\.\d+)?)|(\$?(?:\.[\w-]+)+|\$|\.)|([()|])|([A-Za-z_]\w*))/y;

function parsePipeline(text: string): Term {
  const tokens: string[] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.length) {
    const at = TOKEN.lastIndex;
    const match = TOKEN.exec(text);
    if (match === null) throw bad(`"${text.slice(at).trim()}" is not understood`);
    tokens.push(match[0].trim());
  }
  if (tokens.length === 0) throw bad('{{}} is empty');
  const reader = { tokens, at: 0 };
  const term = pipeline(reader);
  if (reader.at < tokens.length) throw bad(`"${tokens[reader.at]}" is one too many`);
  return term;
}

interface Reader {
  readonly tokens: readonly string[];
  at: number;
}

function pipeline(reader: Reader): Term {
  let term = command(reader, undefined);
  while (reader.tokens[reader.at] === '|') {
    reader.at++;
    term = command(reader, term);
  }
  return term;
}

function command(reader: Reader, piped: Term | undefined): Term {
  const first = operand(reader);
  const isCall = first.kind === 'call' && first.args.length === 0;
  const args: Term[] = [];
  while (reader.at < reader.tokens.length && !/^[|)]$/.test(reader.tokens[reader.at]!))
    args.push(operand(reader));
  if (piped !== undefined) args.push(piped);
  if (args.length === 0) return first;
  if (isCall) return { kind: 'call', name: first.name, args };
  // ".Label "x"": a field that is asked for an entry.
  return { kind: 'call', name: 'index', args: [first, ...args] };
}

function operand(reader: Reader): Term {
  const token = reader.tokens[reader.at++];
  if (token === undefined) throw bad('something is missing at its end');
  if (token === '(') {
    const term = pipeline(reader);
    if (reader.tokens[reader.at++] !== ')') throw bad('( has no )');
    return term;
  }
  if (token.startsWith('"')) return { kind: 'literal', value: JSON.parse(token) as string };
  if (token.startsWith('`')) return { kind: 'literal', value: token.slice(1, -1) };
  if (/^-?\d/.test(token)) return { kind: 'literal', value: Number(token) };
  if (/^[$.]/.test(token)) {
    const path = token
      .replace(/^\$/, '')
      .split('.')
      .filter((part) => part !== '');
    return { kind: 'field', path, root: token.startsWith('$') };
  }
  if (token === 'true' || token === 'false') return { kind: 'literal', value: token === 'true' };
  if (/^\w+$/.test(token)) return { kind: 'call', name: token, args: [] };
  throw bad(`"${token}" is not understood`);
}

export function bad(why: string): SwarmError {
  return new SwarmError('INVALID_ARGUMENT', `The --format template cannot be read: ${why}.`, {
    advice: 'Fields look like {{.Name}}; {{json .}} shows all of them.',
  });
}
