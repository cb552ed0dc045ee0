import { SwarmError } from '../../shared/errors.ts';

/** As with Docker. */
export const DETACH_KEYS = 'ctrl-p,ctrl-q';
const CONTROLS = '@abcdefghijklmnopqrstuvwxyz[\\]^_';

/** `ctrl-p,ctrl-q`, `a,b`, `ctrl-@`: the bytes that these keys send, in order. */
export function parseDetachKeys(text: string): readonly number[] {
  return text.split(',').map((key) => {
    if (/^[\x21-\x7e]$/.test(key)) return key.charCodeAt(0);
    const control = /^ctrl-(.)$/.exec(key)?.[1]?.toLowerCase() ?? '';
    const at = CONTROLS.indexOf(control);
    if (control !== '' && at >= 0) return at;
    throw new SwarmError('INVALID_ARGUMENT', `--detach-keys: "${key}" is no key.`, {
      advice: 'Give letters, or ctrl- and a letter, with commas between: ctrl-p,ctrl-q.',
    });
  });
}

/** Looks for the keys that detach in what is typed. What may be their beginning is held back. */
export class DetachFilter {
  readonly #keys: readonly number[];
  #matched = 0;

  constructor(keys: readonly number[]) {
    this.#keys = keys;
  }
  /** What is to be passed on; `detached` once all keys came, one right after the other. */
  take(typed: Uint8Array): { readonly bytes: Uint8Array; readonly detached: boolean } {
    const out: number[] = [];
    for (const byte of typed) {
      if (byte === this.#keys[this.#matched]) {
        this.#matched++;
        if (this.#matched === this.#keys.length) {
          this.#matched = 0;
          return { bytes: Uint8Array.from(out), detached: true };
        }
        continue;
      }
      out.push(...this.#keys.slice(0, this.#matched));
      this.#matched = byte === this.#keys[0] ? 1 : 0;
      if (this.#matched === 0) out.push(byte);
    }
    return { bytes: Uint8Array.from(out), detached: false };
  }
}
