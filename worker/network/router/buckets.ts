/** More than backends are likely to be, so that each gets a fair share. */
export const BUCKETS = 512;

/**
 * Which of `ids` each bucket of clients goes to, by rendezvous hashing: when one is gone only its own
 * clients move, and a new one takes an equal share from all. The same on every node.
 */
export function bucketsOf(ids: readonly string[]): readonly string[] {
  if (ids.length === 0) return [];
  return Array.from({ length: BUCKETS }, (_, bucket) => {
    let best = ids[0]!;
    let bestWeight = -1;
    for (const id of ids) {
      const weight = weigh(id, bucket);
      if (weight > bestWeight || (weight === bestWeight && id < best)) {
        best = id;
        bestWeight = weight;
      }
    }
    return best;
  });
}

/** FNV-1a over the id, mixed with the bucket as in the last rounds of MurmurHash3. */
function weigh(id: string, bucket: number): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < id.length; at++) hash = Math.imul(hash ^ id.charCodeAt(at), 0x01000193);
  hash = Math.imul(hash ^ Math.imul(bucket + 1, 0x9e3779b1), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
