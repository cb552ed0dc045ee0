import { containers } from './containers.ts';
import { converge } from './converge.ts';
import { endpoints } from './endpoints.ts';
import { failover } from './failover.ts';
import { footprint } from './footprint.ts';
import { NETWORK_PARTS, network } from './network.ts';
import { RAFT_PARTS, RAFT_SETTINGS, raft } from './raft.ts';
import { machineLoad } from './report.ts';

interface Bench {
  readonly run: (args: readonly string[]) => Promise<void>;
  /** What may follow its name, as people read it. */
  readonly usage: string;
  /** What each word after its name has to look like. */
  readonly word: RegExp;
}

const NUMBER = /^\d+$/;

/** `npm run bench -- NAME`: prints `name value unit` lines. Never an assertion on time. */
const BENCHES: { readonly [name: string]: Bench } = {
  containers: {
    run: containers,
    usage: '[--rounds N] [--sizes 1,10] [--only start,update,pull,limits,restart] [--alone]',
    word: /^(--(rounds|sizes|only|alone)|[\w,]+)$/,
  },
  converge: { run: converge, usage: '[REPLICAS…]', word: NUMBER },
  endpoints: { run: endpoints, usage: '[SERVICES [REPLICAS]]', word: NUMBER },
  failover: { run: failover, usage: '[RUNS]', word: NUMBER },
  footprint: { run: footprint, usage: '', word: /^$/ },
  network: { run: network, usage: `[${NETWORK_PARTS.join('|')}]…`, word: oneOf(NETWORK_PARTS) },
  raft: {
    run: raft,
    usage: `[${RAFT_PARTS.join('|')}]… [SETTING=VALUE]… (${RAFT_SETTINGS.join(', ')})`,
    word: new RegExp(`${oneOf(RAFT_PARTS).source}|^(${RAFT_SETTINGS.join('|')})=.`),
  },
};

const [name = '', ...args] = process.argv.slice(2);
const bench = BENCHES[name];
if (bench === undefined || !args.every((arg) => bench.word.test(arg))) {
  process.stderr.write(usage());
  process.exit(args.includes('--help') || name === '--help' ? 0 : 2);
}
machineLoad('before');
await bench.run(args);
machineLoad('after');

function oneOf(words: readonly string[]): RegExp {
  return new RegExp(`^(${words.join('|')})$`);
}

function usage(): string {
  const lines = Object.entries(BENCHES).map(([each, { usage }]) => `  ${each} ${usage}`.trimEnd());
  return `npm run bench -- NAME, one of:\n${lines.join('\n')}\n`;
}
