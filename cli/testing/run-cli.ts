import { SeededIds } from '../../shared/ids.ts';
import { SeededRandom } from '../../shared/random.ts';
import type { Context } from '../context.ts';
import { exitCodeOf, formatError } from '../output/error.ts';
import { choose, perform } from '../program.ts';
import { Session } from '../session.ts';
import { FakeClient } from './fake-session.ts';
import { RecordedIo } from './recorded-io.ts';

// biome-ignore lint/suspicious/noExplicitAny: as in FakeClient.
type Answers = { readonly [name: string]: (request: any) => unknown };

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
  readonly client: FakeClient;
}

/** The whole command line over a daemon that answers from a table. */
export async function runCli(
  argv: readonly string[],
  answers: Answers = {},
  io: RecordedIo = new RecordedIo(),
): Promise<Ran> {
  const client = new FakeClient(answers);
  const session = new Session('/fake.sock', client, new SeededIds(new SeededRandom(1)));
  let code: number;
  try {
    const choice = await choose(argv, io);
    const globals = 'code' in choice ? { socket: undefined, via: undefined } : choice.globals;
    const context: Context = { io, globals, connect: async () => session };
    code = await perform(choice, context);
  } catch (error) {
    io.err(formatError(error));
    code = exitCodeOf(error);
  }
  return { code, out: io.printed, err: io.errors, client };
}
