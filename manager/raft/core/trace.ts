/** Trace lines, put together only when somebody listens. */
import type { Trace } from './config.ts';
import { TraceLevel } from './config.ts';

export class Tracer {
  private readonly trace: Trace;

  constructor(trace: Trace) {
    this.trace = trace;
  }

  debug(text: () => string): void {
    if (TraceLevel.Debug >= this.trace.level) this.trace.write(TraceLevel.Debug, text());
  }

  info(text: () => string): void {
    if (TraceLevel.Info >= this.trace.level) this.trace.write(TraceLevel.Info, text());
  }

  warn(text: () => string): void {
    if (TraceLevel.Warn >= this.trace.level) this.trace.write(TraceLevel.Warn, text());
  }

  error(text: () => string): void {
    if (TraceLevel.Error >= this.trace.level) this.trace.write(TraceLevel.Error, text());
  }
}
