import { serveDials } from './dial.ts';

/**
 * Main of the helper that works inside a task where the daemon itself can't go: started by `nsenter`
 * in the task's network namespace, it makes connections there and hands them over to the daemon.
 */
const [work = ''] = process.argv.slice(2);
if (work === 'dial') serveDials(process);
else {
  process.stderr.write('this program is started by swarmd alone\n');
  process.exitCode = 2;
}
