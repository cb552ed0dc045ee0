import { messageOf } from '../../shared/errors.ts';

/** The disk takes nothing more: neither a mistake of ours nor of what is asked. */
export function isDiskFull(error: unknown): boolean {
  const { code } = (error ?? {}) as { readonly code?: unknown };
  return code === 'ENOSPC' || code === 'EDQUOT';
}

export function isMissing(error: unknown): boolean {
  return ((error ?? {}) as { readonly code?: unknown }).code === 'ENOENT';
}

/** For people. */
export function diskFullText(error: unknown): string {
  return `the disk is full: this node can't write its tasks down (${messageOf(error)})`;
}
