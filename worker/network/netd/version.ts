/** The version of the framed protocol between swarmd and netd; fields are added without a new one. */
export const NETD_PROTOCOL = 2;

/** What a netd and a swarmd say of themselves. */
export interface NetdVersion {
  readonly protocol: number;
  readonly versionText: string;
}

/**
 * Whether a running netd gives way to the one that its swarmd brings along: that one is of a later
 * release, or of another build of the same. After a downgrade the newer netd stays.
 */
export function givesWay(running: NetdVersion, offered: NetdVersion): boolean {
  if (offered.protocol !== running.protocol) return offered.protocol > running.protocol;
  const order = compareReleases(offered.versionText, running.versionText);
  return order > 0 || (order === 0 && offered.versionText !== running.versionText);
}

/** Compares the dotted numbers before any `-` or `+`; missing ones count as zero. */
function compareReleases(a: string, b: string): number {
  const [left, right] = [releaseOf(a), releaseOf(b)];
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const difference = (left[i] ?? 0) - (right[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

function releaseOf(text: string): readonly number[] {
  const dotted = /^v?([0-9.]+)/.exec(text)?.[1] ?? '';
  return dotted.split('.').map((part) => Number.parseInt(part, 10) || 0);
}
