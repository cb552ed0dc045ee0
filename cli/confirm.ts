import type { Context } from './context.ts';
import type { Flags } from './spec/flags.ts';

/** True when somebody says yes to `what` is about to happen, or has said so by `--force`. */
export async function confirmed(context: Context, flags: Flags, what: string): Promise<boolean> {
  if (flags.is('force')) return true;
  const { io } = context;
  const answer = await io.ask(`${what}\nGo on? [y/N] `, 'Give -f to do it without being asked.');
  if (/^y(es)?$/i.test(answer.trim())) return true;
  io.err('Nothing was removed.\n');
  return false;
}
