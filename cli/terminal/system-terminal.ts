import type { Readable, Writable } from 'node:stream';
import type { Size, Terminal } from './terminal.ts';

/** Signals that may be meant for a task. */
const PASSED_ON = ['SIGINT', 'SIGTERM', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2'] as const;
/** Signals that end this program: the terminal is put right before. */
const ENDS = ['SIGTERM', 'SIGHUP', 'SIGQUIT'] as const;

/** The terminal of this process. */
export class SystemTerminal implements Terminal {
  get hasKeyboard(): boolean {
    return process.stdin.isTTY === true;
  }
  get input(): Readable {
    return process.stdin;
  }
  get output(): Writable {
    return process.stdout;
  }
  get errors(): Writable {
    return process.stderr;
  }
  size(): Size {
    // The keyboard's is the same terminal where output goes into a file.
    const { columns = 0, rows = 0 } = process.stdout;
    return { columns, rows };
  }
  onResize(fn: (size: Size) => void): () => void {
    const resized = (): void => fn(this.size());
    process.stdout.on('resize', resized);
    return () => void process.stdout.off('resize', resized);
  }
  raw(): () => void {
    const { stdin } = process;
    if (stdin.isTTY !== true) return () => undefined;
    let isRaw = true;
    const restore = (): void => {
      if (isRaw) stdin.setRawMode(false);
      isRaw = false;
    };
    const ended = (signal: NodeJS.Signals): void => {
      restore();
      for (const name of ENDS) process.off(name, ended);
      process.kill(process.pid, signal);
    };
    stdin.setRawMode(true);
    process.on('exit', restore);
    for (const name of ENDS) process.on(name, ended);
    return () => {
      restore();
      process.off('exit', restore);
      for (const name of ENDS) process.off(name, ended);
    };
  }
  onSignal(fn: (name: string) => void): () => void {
    const came = (signal: NodeJS.Signals): void => fn(signal);
    for (const name of PASSED_ON) process.on(name, came);
    return () => {
      for (const name of PASSED_ON) process.off(name, came);
    };
  }
  stopReading(): void {
    process.stdin.pause();
    process.stdin.destroy();
  }
}
