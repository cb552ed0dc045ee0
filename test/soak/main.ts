import { consensus } from './consensus.ts';
import { network } from './network.ts';

/** `npm run soak -- NAME`: real daemons for as long as one likes; the exit code is the verdict. */
const SOAKS: { readonly [name: string]: (args: readonly string[]) => Promise<void> } = {
  consensus,
  network,
};

const [name = '', ...args] = process.argv.slice(2);
const soak = SOAKS[name];
if (soak === undefined) {
  process.stderr.write(`npm run soak -- NAME, one of: ${Object.keys(SOAKS).join(', ')}\n`);
  process.exit(2);
}
try {
  await soak(args);
} catch (error) {
  console.error(error);
  process.exit(1);
}
