import { SystemClock } from '../../shared/clock.ts';
import { serveDials } from './dial.ts';
import { serveFiles } from './files.ts';
import { serveProbes } from './probe.ts';

/**
 * Main of the helper that works inside a task where the daemon itself can't go, or should not: in its
 * network namespace it makes connections and hands them over to the daemon, in its files it reads and
 * writes archives, as the task's user. In the router of a node it sends to other nodes and answers them.
 */
const [work = '', order = ''] = process.argv.slice(2);
if (work === 'dial') serveDials(process);
else if (work === 'files') process.exitCode = await serveFiles(order);
else if (work === 'probe') process.exitCode = await serveProbes(order, new SystemClock());
else {
  process.stderr.write('this program is started by swarmd alone\n');
  process.exitCode = 2;
}
