/** What a command prints, with the trace of all nodes between it. */
import type { Trace, TraceLevel } from '../../../manager/raft/core/index.ts';

const LEVELS = ['DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL', 'NONE'] as const;
const QUIET = LEVELS.length - 1;

export class Output implements Trace {
  /** From `none` on, nothing is printed at all, handlers' output included. */
  private threshold = 0;
  private text = '';

  get level(): TraceLevel {
    return this.threshold as TraceLevel;
  }

  get isQuiet(): boolean {
    return this.threshold === QUIET;
  }

  /** The name of a level, in either case; throws for any other word. */
  setLevel(name: string): void {
    const level = LEVELS.findIndex((l) => l.toLowerCase() === name.toLowerCase());
    if (level < 0) throw new Error(`log levels must be either of [${LEVELS.join(' ')}]`);
    this.threshold = level;
  }

  restoreLevel(level: number): void {
    this.threshold = level;
  }

  write(level: TraceLevel, line: string): void {
    if (level >= this.threshold) this.text += `${LEVELS[level]} ${line}\n`;
  }

  print(text: string): void {
    if (!this.isQuiet) this.text += text;
  }

  /** Whatever is printed meanwhile is moved two columns to the right. */
  indented(body: () => void): void {
    const before = this.text;
    this.text = '';
    try {
      body();
    } finally {
      const lines = this.text.split('\n');
      if (lines[lines.length - 1] === '') lines.pop();
      this.text = before + lines.map((line) => `  ${line}\n`).join('');
    }
  }

  take(): string {
    const text = this.text;
    this.text = '';
    return text;
  }
}

/** A byte string as Go's %q shows it. */
export function quote(data: Uint8Array): string {
  const text = new TextDecoder('utf-8').decode(data);
  let out = '"';
  for (const c of text) out += quoteChar(c);
  return `${out}"`;
}

const ESCAPES: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
};

function quoteChar(c: string): string {
  const known = ESCAPES[c];
  if (known !== undefined) return known;
  const code = c.codePointAt(0)!;
  if (code < 0x20 || code === 0x7f) return `\\x${code.toString(16).padStart(2, '0')}`;
  return c;
}
