/** What is wrong with an image, or with the way to it. */
export type ImageErrorCode =
  | 'INVALID_SPEC'
  | 'IMAGE_NOT_FOUND'
  | 'IMAGE_AUTH'
  | 'IMAGE_PLATFORM'
  | 'IMAGE_INVALID'
  | 'PULL_FAILED';

/** `temporary`: the same may work a moment later. The message is for people. */
export class ImageError extends Error {
  override readonly name = 'ImageError';
  readonly code: ImageErrorCode;
  readonly temporary: boolean;
  constructor(code: ImageErrorCode, message: string, temporary = false, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.temporary = temporary;
  }
}
