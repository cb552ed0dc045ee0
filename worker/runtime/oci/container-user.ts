import { RuntimeError } from '../../runtime.ts';

/** `process.user` of an OCI spec, and where this user is at home. */
export interface ContainerUser {
  readonly uid: number;
  readonly gid: number;
  readonly additionalGids: readonly number[];
  readonly home: string;
}

/** /etc/passwd and /etc/group of an image; empty where it has none. */
export interface UserFiles {
  readonly passwd: string;
  readonly group: string;
}

/**
 * `name|uid[:group|gid]` → numbers, by the image's own files. A number need not be known there, a name
 * must: throws RuntimeError USER_UNKNOWN.
 */
export function containerUser(
  text: string,
  groups: readonly string[],
  files: UserFiles,
): ContainerUser {
  const [name = '', groupName] = (text || '0').split(':', 2);
  const users = rows(files.passwd);
  const known = groupRows(files.group);
  const row = users.find((user) => user[0] === name) ?? users.find((user) => user[2] === name);
  const uid = row ? Number(row[2]) : numberOf(name);
  if (uid === undefined) {
    throw new RuntimeError('USER_UNKNOWN', `the image has no user ${name}: change --user`);
  }
  const gid = groupName === undefined ? Number(row?.[3] ?? 0) : groupId(groupName, known);
  // A group that is named replaces those of the user.
  const member = groupName === undefined && row ? membershipsOf(row[0]!, known) : [];
  const extra = groups.map((group) => groupId(group, known));
  const additionalGids = [...new Set([gid, ...member, ...extra])];
  return { uid, gid, additionalGids, home: row?.[5] || '/' };
}

function groupId(name: string, known: readonly GroupRow[]): number {
  const id = known.find((group) => group.name === name)?.gid ?? numberOf(name);
  if (id !== undefined) return id;
  throw new RuntimeError(
    'USER_UNKNOWN',
    `the image has no group ${name}: change --user or --group`,
  );
}

function membershipsOf(user: string, known: readonly GroupRow[]): number[] {
  return known.filter(({ members }) => members.includes(user)).map(({ gid }) => gid);
}

interface GroupRow {
  readonly name: string;
  readonly gid: number;
  readonly members: readonly string[];
}

function groupRows(text: string): readonly GroupRow[] {
  return rows(text).flatMap(([name = '', , id = '', members = '']) => {
    const gid = numberOf(id);
    return gid === undefined ? [] : [{ name, gid, members: members.split(',') }];
  });
}

function rows(text: string): readonly (readonly string[])[] {
  return text
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.trim().split(':'));
}

function numberOf(text: string): number | undefined {
  if (!/^\d{1,10}$/.test(text)) return undefined;
  const value = Number(text);
  return value < 2 ** 32 - 1 ? value : undefined;
}
