import type { KvInput, RegisterInput, RegisterOutput } from './models.ts';
import type { Operation } from './wgl.ts';

/** Reads histories: each line is one event of one process; the number of the line is its moment. */

interface Open<In> {
  readonly call: number;
  readonly input: In;
}

/**
 * `INFO  jepsen.util - 3 :invoke :cas [1 2]`; what the nemesis did is passed over. Throws at a line
 * it does not know.
 */
export function readRegisterHistory(text: string): Operation<RegisterInput, RegisterOutput>[] {
  const operations: Operation<RegisterInput, RegisterOutput>[] = [];
  const open = new Map<string, Open<RegisterInput>>();
  for (const [at, line] of text.split('\n').entries()) {
    if (line.trim() === '' || /-\s+:nemesis\s/.test(line)) continue;
    const found = /-\s+(\d+)\s+:(\w+)\s+:(\w+)\s+(.*?)\s*$/.exec(line);
    if (found === null) throw new Error(`line ${at + 1} is no event: ${line}`);
    const [process, type, name, value] = found.slice(1) as [string, string, string, string];
    if (type === 'invoke') {
      begin(open, process, at, registerInput(name, value), line);
      continue;
    }
    const started = end(open, process, at, line);
    if (started.input.kind !== name)
      throw new Error(`line ${at + 1} ends a ${started.input.kind}: ${line}`);
    const isTimedOut = value === ':timed-out';
    if (type === 'info' || (type === 'ok' && isTimedOut)) {
      // What timed out may still take place: it stays open. A read told nothing.
      if (name !== 'read') operations.push(forEver(started));
    } else if (type === 'fail' && name === 'cas') {
      // It found another value; one that does not say so may as well have been done.
      if (isTimedOut) throw new Error(`line ${at + 1}: a cas that failed and timed out: ${line}`);
      operations.push({ ...started, end: at, output: { ok: false } });
    } else if (type === 'ok') {
      const output = name === 'read' ? { value } : name === 'cas' ? { ok: true } : {};
      operations.push({ ...started, end: at, output });
    } else if (type !== 'fail') throw new Error(`line ${at + 1} is no event: ${line}`);
    // A read or write that failed did not take place.
  }
  return [...operations, ...[...open.values()].map(forEver)];
}

/** The same form: each operation as a process of its own, what has no end as one that timed out. */
export function writeRegisterHistory(
  operations: readonly Operation<RegisterInput, RegisterOutput>[],
): string {
  const events = operations.flatMap(({ call, end, input, output }, process) => {
    const isOpen = output === undefined;
    const type = isOpen ? 'info' : input.kind === 'cas' && output.ok !== true ? 'fail' : 'ok';
    const what = isOpen ? ':timed-out' : (output.value ?? textOf(input));
    return [
      { at: call, line: `${process} :invoke :${input.kind} ${textOf(input)}` },
      { at: end, line: `${process} :${type} :${input.kind} ${what}` },
    ];
  });
  events.sort((a, b) => (a.at === b.at ? 0 : a.at < b.at ? -1 : 1));
  return events.map(({ line }) => `INFO  jepsen.util - ${line}\n`).join('');
}

function textOf(input: RegisterInput): string {
  if (input.kind === 'read') return 'nil';
  return input.kind === 'write' ? input.value : `[${input.from} ${input.to}]`;
}

function begin<In>(
  open: Map<string, Open<In>>,
  process: string,
  at: number,
  input: In,
  line: string,
): void {
  if (open.has(process))
    throw new Error(`line ${at + 1}: process ${process} is not done with the last one: ${line}`);
  open.set(process, { call: at, input });
}

function end<In>(open: Map<string, Open<In>>, process: string, at: number, line: string): Open<In> {
  const started = open.get(process);
  if (started === undefined) throw new Error(`line ${at + 1} ends nothing: ${line}`);
  open.delete(process);
  return started;
}

/** Nobody knows whether and when it took place. */
function forEver<In>(started: Open<In>): Operation<In, never> {
  return { ...started, end: Number.POSITIVE_INFINITY, output: undefined };
}

function registerInput(name: string, value: string): RegisterInput {
  if (name === 'read') return { kind: 'read' };
  if (name === 'write') return { kind: 'write', value };
  const pair = /^\[(\S+) (\S+)\]$/.exec(value);
  if (name === 'cas' && pair) return { kind: 'cas', from: pair[1]!, to: pair[2]! };
  throw new Error(`an operation nobody knows: ${name} ${value}`);
}

/** `{:process 1, :type :ok, :f :get, :key "4", :value "x"}`. Throws at a line it does not know. */
export function readKvHistory(text: string): Operation<KvInput, string>[] {
  const operations: Operation<KvInput, string>[] = [];
  const open = new Map<string, Open<KvInput>>();
  const form = /:process (\d+), :type :(\w+), :f :(\w+), :key "(.*?)", :value (nil|"(.*)")/;
  for (const [at, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue;
    const found = form.exec(line);
    if (found === null) throw new Error(`line ${at + 1} is no event: ${line}`);
    const [, process, type, kind, key] = found as unknown as [
      string,
      string,
      string,
      string,
      string,
    ];
    const value = found[6] ?? '';
    if (type === 'invoke') {
      begin(open, process, at, kvInput(kind, key, value), line);
      continue;
    }
    const started = end(open, process, at, line);
    if (type === 'ok') operations.push({ ...started, end: at, output: value });
    else if (type === 'info') operations.push(forEver(started));
    // What failed did not take place.
    else if (type !== 'fail') throw new Error(`line ${at + 1} is no event: ${line}`);
  }
  return [...operations, ...[...open.values()].map(forEver)];
}

function kvInput(kind: string, key: string, value: string): KvInput {
  if (kind === 'get') return { kind, key };
  if (kind === 'put' || kind === 'append') return { kind, key, value };
  throw new Error(`an operation nobody knows: ${kind}`);
}
