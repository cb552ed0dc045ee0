import type { Descriptor } from './documents.ts';

/** Where the parts of one image come from. */
export interface ImageSource {
  /** What is said of it in progress and errors. */
  readonly from: string;
  /** A manifest, an index or a configuration as a whole; its digest is checked by who asks. */
  document(descriptor: Descriptor, signal: AbortSignal): Promise<Uint8Array>;
  /**
   * The bytes of a blob from `offset`, or from its beginning where the source can't do better: then
   * `offset` of the answer is 0.
   */
  blob(descriptor: Descriptor, offset: number, signal: AbortSignal): Promise<BlobStream>;
}

export interface BlobStream {
  readonly offset: number;
  readonly bytes: AsyncIterable<Uint8Array>;
}

/** One layer's way, for people. */
export interface ImageProgress {
  readonly digest: string;
  readonly doneBytes: number;
  readonly totalBytes: number;
  /** fetched: all bytes are here; done: unpacked as well. */
  readonly what: 'waiting' | 'fetching' | 'fetched' | 'unpacking' | 'done';
}
export type OnProgress = (progress: ImageProgress) => void;

/** Never given to another host, never in a log. */
export interface RegistryAuth {
  readonly username: string;
  readonly password: string;
}
