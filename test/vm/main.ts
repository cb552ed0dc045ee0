import { debian } from './debian.ts';
import { machine } from './machine.ts';
import { noIpv6 } from './no-ipv6.ts';
import { upgrade } from './upgrade.ts';
import { wireguard } from './wireguard.ts';

/**
 * `npm run vm -- NAME`: what the kernel here lacks, on one that has it, and other programs than those here.
 * The exit code is the verdict.
 */
const SCRIPTS: { readonly [name: string]: (args: readonly string[]) => Promise<void> } = {
  debian,
  machine,
  'no-ipv6': noIpv6,
  upgrade,
  wireguard,
};

const script = SCRIPTS[process.argv[2] ?? ''];
if (script === undefined) {
  process.stderr.write(`npm run vm -- NAME, one of: ${Object.keys(SCRIPTS).join(', ')}\n`);
  process.exit(2);
}
try {
  await script(process.argv.slice(3));
} catch (error) {
  console.error(error);
  process.exit(1);
}
