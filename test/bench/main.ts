import { containers } from './containers.ts';
import { converge } from './converge.ts';
import { endpoints } from './endpoints.ts';
import { failover } from './failover.ts';
import { footprint } from './footprint.ts';
import { network } from './network.ts';
import { raft } from './raft.ts';
import { machineLoad } from './report.ts';

/** `npm run bench -- NAME`: prints `name value unit` lines. Never an assertion on time. */
const BENCHES: { readonly [name: string]: (args: readonly string[]) => Promise<void> } = {
  containers,
  converge,
  endpoints,
  failover,
  footprint,
  network,
  raft,
};

const [name = '', ...args] = process.argv.slice(2);
const bench = BENCHES[name];
if (bench === undefined) {
  process.stderr.write(`npm run bench -- NAME, one of: ${Object.keys(BENCHES).join(', ')}\n`);
  process.exit(2);
}
machineLoad('before');
await bench(args);
machineLoad('after');
