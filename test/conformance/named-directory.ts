import { join, resolve } from 'node:path';

/**
 * The directory of the first argument, as the caller sees it (npm runs in the root of the clone), else
 * `folder` of the test vectors; empty when there are none either.
 */
export function namedDirectory(folder: string): string {
  const named = process.argv[2];
  if (named !== undefined) return resolve(process.env['INIT_CWD'] ?? process.cwd(), named);
  const vectors = process.env['SWARM_VECTORS'] ?? '';
  return vectors === '' ? '' : join(vectors, folder);
}
