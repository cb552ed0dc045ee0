import { basename } from 'node:path';
import type { ServiceSpec } from '../../proto/index.ts';

const STEM_MAX = 40;

/** A name for a service that was given none: what it runs, and the last characters of its id. */
export function randomName(spec: ServiceSpec, id: string): string {
  const image = spec.task?.container?.image ?? '';
  const source = image === '' ? (spec.task?.process?.command[0] ?? '') : image;
  const base = basename(source.replace(/[@].*$/, '')).replace(/:.*$/, '');
  const stem = base
    .replace(/[^a-zA-Z0-9_-]+/g, '-')
    .replace(/^[-_]+|[-_]+$/g, '')
    .slice(0, STEM_MAX);
  const clean = stem.replace(/[-_]+$/, '');
  return `${clean === '' ? 'service' : clean}-${id.slice(-6)}`;
}
