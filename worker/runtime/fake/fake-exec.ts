import { PassThrough } from 'node:stream';
import type { ExecRequest, TerminalSize } from '../../../proto/index.ts';
import { type ExecSession, RuntimeError } from '../../runtime.ts';

/**
 * A command in a task of memory alone. `both CODE`: a line on each output, then that exit code. `cat`:
 * its input comes out. `size`: the size of its terminal, at first and at each change. `env NAME`: a
 * variable of the request. `hang`: goes on until it is ended.
 */
export class FakeExec implements ExecSession {
  readonly pid = 4_242;
  readonly stdin: PassThrough | undefined;
  readonly stdout = new PassThrough();
  readonly stderr: PassThrough | undefined;
  readonly exit: Promise<number>;
  #end: (code: number) => void = () => undefined;
  #endsTerminalLines: string;

  constructor(request: ExecRequest) {
    const [word = '', argument = '0'] = request.command;
    if (word === 'missing') throw new RuntimeError('COMMAND_NOT_FOUND', 'there is no missing');
    this.stdin = request.input ? new PassThrough() : undefined;
    this.stderr = request.terminal ? undefined : new PassThrough();
    this.#endsTerminalLines = request.terminal ? '\r\n' : '\n';
    this.exit = new Promise((resolve) => {
      this.#end = resolve;
    });
    this.#run(word, argument, request);
  }
  resize({ columns, rows }: TerminalSize): void {
    this.#say(`${rows} ${columns}`);
  }
  release(): void {
    this.stdout.resume();
    this.stderr?.resume();
  }
  async close(): Promise<void> {
    this.#finish(129);
  }
  #run(word: string, argument: string, request: ExecRequest): void {
    if (word === 'both') {
      this.#say('to-out');
      this.stderr?.write('to-err\n');
      this.#finish(Number(argument));
    }
    if (word === 'size') this.resize(request.terminal!);
    if (word === 'hang') this.#say('READY');
    if (word === 'env') {
      const entry = request.env.find((each) => each.startsWith(`${argument}=`)) ?? '=';
      this.#say(entry.slice(entry.indexOf('=') + 1));
      this.#finish(0);
    }
    if (word === 'cat') {
      this.stdin?.pipe(this.stdout);
      this.stdin?.once('end', () => this.#finish(0));
    }
  }
  #say(text: string): void {
    this.stdout.write(`${text}${this.#endsTerminalLines}`);
  }
  #finish(code: number): void {
    if (!this.stdout.writableEnded) this.stdout.end();
    this.stderr?.end();
    this.#end(code);
  }
}
