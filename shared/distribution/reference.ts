import { isDigest } from './documents.ts';
import { ImageError } from './image-error.ts';

/** An image as its user names it, with what Docker fills in. */
export interface ImageReference {
  /** Host and port of the registry, as users write it. */
  readonly host: string;
  readonly path: string;
  /** Empty where only a digest is given. */
  readonly tag: string;
  /** `sha256:…`; empty: whatever the tag stands for. */
  readonly digest: string;
}

const DEFAULT_HOST = 'docker.io';
const PART = '[a-z0-9]+(?:(?:[.]|__?|-+)[a-z0-9]+)*';
const PATH = new RegExp(`^${PART}(?:/${PART})*$`);
const LABEL = '[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?';
const HOST = new RegExp(`^(?:${LABEL}(?:[.]${LABEL})*|\\[[a-fA-F0-9:]+\\])(?::[0-9]{1,5})?$`);

/** `nginx` → docker.io/library/nginx:latest. Throws ImageError INVALID_SPEC. */
export function parseReference(text: string): ImageReference {
  const at = text.indexOf('@');
  const digest = at < 0 ? '' : text.slice(at + 1);
  const named = at < 0 ? text : text.slice(0, at);
  if (digest !== '' && !isDigest(digest)) throw invalid(text, 'its digest is not a sha256 one');
  const slash = named.indexOf('/');
  const first = slash < 0 ? '' : named.slice(0, slash);
  const hasHost = /[.:]/.test(first) || first === 'localhost';
  const host = hasHost ? normalHost(first) : DEFAULT_HOST;
  const rest = hasHost ? named.slice(slash + 1) : named;
  const colon = rest.indexOf(':');
  const path = colon < 0 ? rest : rest.slice(0, colon);
  const tag = colon < 0 ? '' : rest.slice(colon + 1);
  if (!HOST.test(host)) throw invalid(text, 'its registry is malformed');
  if (!PATH.test(path)) throw invalid(text, 'its name is malformed');
  if (colon >= 0 && !/^\w[\w.-]{0,127}$/.test(tag)) throw invalid(text, 'its tag is malformed');
  const full = host === DEFAULT_HOST && !path.includes('/') ? `library/${path}` : path;
  return { host, path: full, tag: tag === '' && digest === '' ? 'latest' : tag, digest };
}

/** The name under which containerd keeps the image: by digest where one is given. */
export function imageName(reference: ImageReference): string {
  const base = `${reference.host}/${reference.path}`;
  return reference.digest === '' ? `${base}:${reference.tag}` : `${base}@${reference.digest}`;
}

export function withDigest(reference: ImageReference, digest: string): ImageReference {
  return { ...reference, digest };
}

/** A registry as users write it, also with a scheme or Docker's own path. Undefined: it is none. */
export function parseRegistryHost(text: string): string | undefined {
  const bare = text.replace(/^https?:\/\//, '').replace(/\/(v[12]\/?)?$/, '');
  return HOST.test(bare) ? normalHost(bare) : undefined;
}

function normalHost(host: string): string {
  return host === 'index.docker.io' || host === 'registry-1.docker.io' ? DEFAULT_HOST : host;
}

function invalid(text: string, why: string): ImageError {
  return new ImageError('INVALID_SPEC', `${text} is no image reference: ${why}`);
}
