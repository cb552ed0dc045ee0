/**
 * Docker's placeholders in the environment, host name and mounts of a task: `{{.Task.Slot}}` and the
 * like. Managers check them when a service is made, nodes put the values in.
 */
const NAMES = [
  '.Service.ID',
  '.Service.Name',
  '.Node.ID',
  '.Node.Hostname',
  '.Node.Platform.OS',
  '.Node.Platform.Architecture',
  '.Task.ID',
  '.Task.Name',
  '.Task.Slot',
] as const;
export type PlaceholderName = (typeof NAMES)[number];

const LABEL = '.Service.Labels.';
const PLACEHOLDER = /\{\{\s*([^{}]*?)\s*\}\}/g;

/** For people: which there are. */
export const PLACEHOLDERS_TEXT = [...NAMES, `${LABEL}KEY`].join(', ');

/** The first one that is none, as it is written; undefined where all are known. */
export function unknownPlaceholder(text: string): string | undefined {
  for (const [whole, name = ''] of text.matchAll(PLACEHOLDER))
    if (!isName(name) && !(name.startsWith(LABEL) && name.length > LABEL.length)) return whole;
  return undefined;
}

/** Puts values in. `value` is asked for each; a label comes by its key alone. */
export function fillPlaceholders(
  text: string,
  value: (name: PlaceholderName) => string,
  label: (key: string) => string,
): string {
  if (!text.includes('{{')) return text;
  return text.replaceAll(PLACEHOLDER, (whole, name: string) => {
    if (isName(name)) return value(name);
    return name.startsWith(LABEL) ? label(name.slice(LABEL.length)) : whole;
  });
}

function isName(name: string): name is PlaceholderName {
  return (NAMES as readonly string[]).includes(name);
}
