import type { ContainerSpec } from '../../proto/index.ts';
import { invalid } from './invalid.ts';
import { parseBoolean } from './number.ts';

type Change = Partial<Pick<ContainerSpec, 'seccomp' | 'apparmor' | 'noNewPrivileges'>>;

/**
 * Docker's `--security-opt`, with = or : between name and value. A seccomp profile is given as its text by
 * then: the command has read the file.
 */
export function parseSecurityOption(flag: string, text: string): Change {
  const match = /^([a-z-]+)(?:[=:]([\s\S]*))?$/.exec(text);
  const [name, value] = [match?.[1], match?.[2]];
  if (name === 'no-new-privileges')
    return { noNewPrivileges: value === undefined || parseBoolean(flag, value) };
  const own = value === 'default' ? '' : value;
  if (name === 'seccomp' && own !== undefined) return { seccomp: own };
  if (name === 'apparmor' && own !== undefined) return { apparmor: own };
  throw invalid(flag, text.slice(0, 80), 'no-new-privileges, seccomp=FILE or apparmor=NAME');
}

/** The path of a seccomp profile that has to be read; undefined: this option names none. */
export function seccompFile(text: string): string | undefined {
  const path = /^seccomp[=:]([\s\S]+)$/.exec(text)?.[1];
  return path === undefined || ['unconfined', 'default'].includes(path) ? undefined : path;
}
