/** A relative path that goes down alone: `a/b`, without empty steps, `.` and `..`. */
export function isSubpath(text: string): boolean {
  return text.split('/').every((name) => name !== '' && name !== '.' && name !== '..');
}

export const SUBPATH_FORM = 'a directory in the volume, as in a/b: relative, without . and ..';
