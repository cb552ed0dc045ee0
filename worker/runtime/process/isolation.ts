import { join } from 'node:path';
import type { Io } from '../../io.ts';
import { SYSTEM_PATH } from './environment.ts';

/** Programs of util-linux that this node has, by full path. */
export interface Tools {
  readonly shell: string;
  readonly unshare: string | undefined;
  readonly setpriv: string | undefined;
  readonly prlimit: string | undefined;
  readonly nsenter: string | undefined;
  /** Makes terminals; and `stty` of coreutils sets their size. */
  readonly script: string | undefined;
  readonly stty: string | undefined;
}

export function findTools(io: Io): Tools {
  const find = (name: string): string | undefined =>
    SYSTEM_PATH.split(':')
      .map((directory) => join(directory, name))
      .find((path) => io.executable(path));
  return {
    shell: '/bin/sh',
    unshare: find('unshare'),
    setpriv: find('setpriv'),
    prlimit: find('prlimit'),
    nsenter: find('nsenter'),
    script: find('script'),
    stty: find('stty'),
  };
}

/**
 * What goes before the supervisor so that it is process 1 of a pid namespace: with it everything
 * that a task ever started ends. Without root a user namespace comes with it, in which the task
 * keeps its own uid. Undefined where trying shows that it does not work here: sysctls and versions
 * do not tell.
 */
export async function findPidNamespace(
  io: Io,
  tools: Tools,
  uid: number,
): Promise<readonly string[] | undefined> {
  if (tools.unshare === undefined) return undefined;
  const flags = ['--pid', '--fork', '--kill-child'];
  const command =
    uid === 0
      ? [tools.unshare, ...flags, '--']
      : [tools.unshare, '--user', '--map-current-user', ...flags, '--'];
  const script = 'read -r pid rest < /proc/self/stat; echo "$$ $pid"';
  const [program = '', ...args] = [...command, tools.shell, '-c', script];
  const result = await io.run({ command: program, args, timeoutMs: 5_000, outputBytesMax: 200 });
  // Process 1 inside, and /proc shows the number that we know it by.
  const [inner, outer] = result.output.trim().split(' ');
  return result.code === 0 && inner === '1' && Number(outer) > 1 ? command : undefined;
}
