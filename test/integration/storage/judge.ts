import { createInterface } from 'node:readline';
import { messageOf, SwarmError } from '../../../shared/errors.ts';
import { readContent } from './content.ts';
import { type Fault, plant } from './fault.ts';
import type { Verdict } from './judges.ts';

/**
 * A process of `judges.ts`: for each line of its input it plants a fault and says what a manager
 * would make of it. LevelDB takes the process down on some damage: then the next one is asked to
 * open the same folder `again`, as the daemon's next start would.
 */
export interface Case {
  readonly base: string;
  readonly work: string;
  readonly fault?: Fault | undefined;
  readonly again: boolean;
}

async function judge({ base, work, fault, again }: Case): Promise<Verdict> {
  if (!again) await plant(base, work, fault);
  try {
    return { kind: 'content', content: await readContent(work) };
  } catch (error) {
    const kind = SwarmError.is(error) && error.code === 'DAMAGED' ? 'damaged' : 'refused';
    return { kind, reason: messageOf(error) };
  }
}

const lines = createInterface({ input: process.stdin });
for await (const line of lines) {
  const verdict = await judge(JSON.parse(line) as Case);
  process.stdout.write(`${JSON.stringify(verdict)}\n`);
}
