import { randomInt } from 'node:crypto';
import { openLevel, systemDisk } from '../../../manager/database/index.ts';
import { messageOf } from '../../../shared/errors.ts';
import { LoneManager } from './lone-manager.ts';
import { pairValue, readPair, WRITERS } from './pairs.ts';

/**
 * A process of kills.test.ts: opens the folder it is given, says what is in it, and changes it until
 * it is killed. Says `ready N N …` (the number in each writer's rows), then `done WRITER N`.
 */
const manager = await LoneManager.open(process.argv[2]!, {
  disk: systemDisk,
  openEngine: openLevel,
}).catch(fail);

const values = manager.values();
const numbers: number[] = [];
for (let writer = 0; writer < WRITERS; writer++)
  numbers.push(
    readPair(values, writer) ?? fail(`the rows of writer ${writer} do not belong together`),
  );
process.stdout.write(`ready ${numbers.join(' ')}\n`);

await Promise.all(numbers.map((number, writer) => write(writer, number)));

async function write(writer: number, from: number): Promise<void> {
  for (let number = from + 1; ; number++) {
    const value = pairValue(writer, number, randomInt(20_000));
    await manager.putAll([`a${writer}`, `b${writer}`], value).catch(fail);
    process.stdout.write(`done ${writer} ${number}\n`);
  }
}

function fail(error: unknown): never {
  process.stdout.write(`failed ${messageOf(error)}\n`);
  process.exit(1);
}
