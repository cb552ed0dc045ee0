import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Those of `names` that are nowhere on the path. */
export function missingPrograms(names: readonly string[]): string[] {
  const directories = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  const isThere = (name: string): boolean =>
    directories.some((directory) => {
      try {
        accessSync(join(directory, name), constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
  return names.filter((name) => !isThere(name));
}
