import type { Io } from '../../io.ts';
import { RuntimeError } from '../../runtime.ts';

/** Who a task runs as. `switchTo` is undefined when that is the daemon's own user. */
export interface TaskUser {
  readonly name: string;
  readonly home: string;
  readonly switchTo:
    | { readonly uid: number; readonly gid: number; readonly named: boolean }
    | undefined;
}

export interface Self {
  readonly uid: number;
  readonly gid: number;
}

interface PasswdRow {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
}

/**
 * `text` is the spec's `name|uid[:group|gid]`. A root daemon runs nothing without it, a daemon of
 * another user runs nothing as somebody else. Throws RuntimeError NOT_ALLOWED or USER_UNKNOWN.
 */
export function resolveUser(io: Io, text: string, self: Self): TaskUser {
  const rows = parsePasswd(io.read('/etc/passwd')?.toString('utf8') ?? '');
  const own = rows.find((row) => row.uid === self.uid);
  if (text === '') {
    if (self.uid === 0) {
      throw new RuntimeError(
        'NOT_ALLOWED',
        'this daemon is root and starts no process without a user: give --user NAME',
      );
    }
    return { name: own?.name ?? String(self.uid), home: own?.home ?? '/', switchTo: undefined };
  }
  const [userText = '', groupText] = splitOnce(text);
  const row = findRow(rows, userText);
  const gid = groupText === undefined ? row.gid : findGroup(io, groupText);
  if (self.uid === 0) {
    const named = row.name !== '' && groupText === undefined;
    return { name: row.name || userText, home: row.home, switchTo: { uid: row.uid, gid, named } };
  }
  if (row.uid !== self.uid || (groupText !== undefined && gid !== self.gid)) {
    throw new RuntimeError(
      'NOT_ALLOWED',
      `this daemon runs as ${own?.name ?? self.uid} and can't start a process as ${text}: leave --user out`,
    );
  }
  return { name: row.name || userText, home: row.home, switchTo: undefined };
}

/** What goes before a command so that it runs as this user; nothing when that is the daemon's own. */
export function switchCommand(user: TaskUser, setpriv: string | undefined): readonly string[] {
  if (user.switchTo === undefined) return [];
  if (setpriv === undefined) {
    throw new RuntimeError(
      'UNSUPPORTED',
      'this node has no setpriv to change the user with: install util-linux there',
    );
  }
  const { uid, gid, named } = user.switchTo;
  return [
    setpriv,
    `--reuid=${uid}`,
    `--regid=${gid}`,
    named ? '--init-groups' : '--clear-groups',
    '--',
  ];
}

function splitOnce(text: string): [string, string | undefined] {
  const at = text.indexOf(':');
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}

function parsePasswd(text: string): readonly PasswdRow[] {
  return text
    .split('\n')
    .map((line) => line.split(':'))
    .filter((fields) => fields.length >= 7)
    .map(([name = '', , uid, gid, , home = '/']) => ({
      name,
      uid: Number(uid),
      gid: Number(gid),
      home,
    }));
}

function findRow(rows: readonly PasswdRow[], text: string): PasswdRow {
  const named = rows.find((row) => row.name === text);
  if (named) return named;
  if (!/^\d{1,10}$/.test(text)) {
    throw new RuntimeError(
      'USER_UNKNOWN',
      `user ${text} is not in this node's /etc/passwd: create it there or give a uid`,
    );
  }
  const uid = Number(text);
  return rows.find((row) => row.uid === uid) ?? { name: '', uid, gid: uid, home: '/' };
}

function findGroup(io: Io, text: string): number {
  if (/^\d{1,10}$/.test(text)) return Number(text);
  for (const line of (io.read('/etc/group')?.toString('utf8') ?? '').split('\n')) {
    const [name, , gid] = line.split(':');
    if (name === text && gid !== undefined) return Number(gid);
  }
  throw new RuntimeError(
    'USER_UNKNOWN',
    `group ${text} is not in this node's /etc/group: create it there or give a gid`,
  );
}
