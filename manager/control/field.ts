import { SwarmError } from '../../shared/errors.ts';
import { PLACEHOLDERS_TEXT, unknownPlaceholder } from '../../shared/placeholders.ts';

/** The error of a spec: names the field, what is wrong and what is allowed. */
export function invalid(field: string, wrong: string, allowed: string): SwarmError {
  return new SwarmError('INVALID_SPEC', `${field}: ${wrong}`, {
    advice: `Allowed: ${allowed}.`,
    details: { field },
  });
}

/** Throws INVALID_SPEC unless `ok`. */
export function check(ok: boolean, field: string, wrong: string, allowed: string): asserts ok {
  if (!ok) throw invalid(field, wrong, allowed);
}

export function checkEnum(
  value: number,
  words: { readonly [word: string]: number },
  field: string,
): void {
  const allowed = Object.keys(words).map((word) => word.toLowerCase().replaceAll('_', '-'));
  check(
    Object.values(words).includes(value),
    field,
    `${value} is no such value`,
    allowed.join(', '),
  );
}

export function checkText(value: string, field: string): void {
  check(!value.includes('\0'), field, 'it holds a NUL byte', 'text without NUL bytes');
}

/** Placeholders that no node can fill are refused here, where somebody reads it. */
export function checkPlaceholders(value: string, field: string): void {
  const unknown = unknownPlaceholder(value);
  check(unknown === undefined, field, `${unknown} is no placeholder`, PLACEHOLDERS_TEXT);
}

/** Keys and values of labels. */
export function checkLabels(
  labels: { readonly [key: string]: string },
  field: string,
  bytesMax: number,
): void {
  let bytes = 0;
  for (const [key, value] of Object.entries(labels)) {
    check(
      /^[^\s=\p{Cc}]+$/u.test(key),
      field,
      key === ''
        ? 'a label has an empty key'
        : `the key "${key}" holds a space, "=" or a control character`,
      'keys of printable characters without spaces and "="',
    );
    checkText(value, `${field}.${key}`);
    bytes += Buffer.byteLength(key) + Buffer.byteLength(value);
  }
  check(bytes <= bytesMax, field, `${bytes} bytes of labels`, `at most ${bytesMax} bytes in all`);
}
