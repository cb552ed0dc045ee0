// One test file in the network namespace that deploy/test-lanes.mjs made for it.
import { readlinkSync } from 'node:fs';
import { runFiles } from './test-run.mjs';

const [root, file] = process.argv.slice(2);
process.send({ namespace: readlinkSync('/proc/self/ns/net') });
await runFiles(root, [file], { concurrency: 1 }, (result) => process.send(result));
process.disconnect();
