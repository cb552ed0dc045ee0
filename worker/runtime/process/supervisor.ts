import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Io } from '../../io.ts';

/**
 * What stands between the daemon and a task: a shell that outlives the daemon, costs a few hundred
 * kilobytes and starts no program of its own. POSIX, no more: dash and busybox run it.
 *
 * The pid file is created with noclobber, so of two supervisors for one task (a daemon that was
 * killed between spawn and its answer, and its successor) exactly one goes on. The exit code is in
 * the *name* of a file: creating it is one atomic step that needs no space on the disk.
 *
 * The task runs in the foreground, because what a shell starts with `&` ignores INT and QUIT; its
 * signals come from the daemon straight to its pid. /proc/self/stat names the pid and start time of
 * the outer pid namespace also from within an inner one.
 */
const SCRIPT = `base=$1 workdir=$2 own=$3 groups=$4
shift 4
trap : HUP INT QUIT USR1 USR2 ALRM TERM
set -C
fields() { set -- \${stat##*) }; group=$3 start=\${20}; }
read -r stat < /proc/self/stat || exit 125
fields
read -r boot < /proc/sys/kernel/random/boot_id
{ echo "\${stat%% *} $start $boot" > "$base.pid"; } 2> /dev/null || exit 125
# remove() deletes this file first: who comes after it must not begin.
[ -e "$base.json" ] || exit 125
leader=\${stat%% *}
(
  read -r stat < /proc/self/stat
  fields
  while [ "$groups" -gt 0 ]; do
    echo 0 >> "$1/cgroup.procs" || exit 126
    shift
    groups=$((groups - 1))
  done
  cd "$workdir" || exit 126
  unset OLDPWD
  echo "\${stat%% *} $start" > "$base.task"
  exec "$@"
)
code=$?
: > "$base.exit-$code"
# Without a pid namespace the rest of the group ends here, this shell with it.
[ "$own" = 1 ] || [ "$group" != "$leader" ] || kill -9 0
`;

/** Puts the script where every supervisor reads it; its name changes with its text. */
export function installSupervisor(io: Io, directory: string): string {
  const digest = createHash('sha256').update(SCRIPT).digest('hex').slice(0, 12);
  const path = join(directory, `supervise-${digest}.sh`);
  if (io.read(path)?.toString('utf8') === SCRIPT) return path;
  io.write(`${path}.tmp`, SCRIPT);
  io.rename(`${path}.tmp`, path);
  return path;
}

export interface Supervised {
  readonly script: string;
  /** Path that the files of this task begin with. */
  readonly base: string;
  readonly workdir: string;
  readonly pidNamespace: boolean;
  readonly cgroups: readonly string[];
  readonly command: readonly string[];
}

/** Arguments of /bin/sh. */
export function supervisorArgs(task: Supervised): readonly string[] {
  return [
    task.script,
    task.base,
    task.workdir,
    task.pidNamespace ? '1' : '0',
    String(task.cgroups.length),
    ...task.cgroups,
    ...task.command,
  ];
}
