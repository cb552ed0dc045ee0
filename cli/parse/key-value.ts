import { invalid } from './invalid.ts';

/** "k=v" → [k, v]; "k" → [k, ""]. */
export function parseLabel(flag: string, text: string): readonly [string, string] {
  const at = text.indexOf('=');
  const key = at < 0 ? text : text.slice(0, at);
  if (key === '') throw invalid(flag, text, 'KEY=VALUE');
  return [key, at < 0 ? '' : text.slice(at + 1)];
}

/** Labels as a map; a key given twice takes the last value. */
export function parseLabels(
  flag: string,
  texts: readonly string[],
): { readonly [key: string]: string } {
  return Object.fromEntries(texts.map((text) => parseLabel(flag, text)));
}

/** A line of comma separated "key=value" fields; quotes ("…") keep a comma, as in CSV. */
export function parseFields(flag: string, text: string): readonly (readonly [string, string])[] {
  return splitCsv(flag, text).map((field) => {
    const at = field.indexOf('=');
    return at < 0
      ? [field.trim().toLowerCase(), '']
      : [field.slice(0, at).trim().toLowerCase(), field.slice(at + 1)];
  });
}

function splitCsv(flag: string, text: string): readonly string[] {
  const fields: string[] = [];
  const pattern = /(?:"((?:[^"]|"")*)"|([^",]*))(,|$)/y;
  while (pattern.lastIndex <= text.length) {
    const match = pattern.exec(text);
    if (match === null) throw invalid(flag, text, 'fields such as key=value,key=value');
    fields.push(match[1] === undefined ? match[2]! : match[1].replaceAll('""', '"'));
    if (match[3] === '') break;
  }
  return fields;
}
