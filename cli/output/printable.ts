/**
 * What comes from outside (names, messages, log lines) may carry terminal escapes: control
 * characters are shown as \xNN, so nothing in the cluster can steer the terminal of who looks.
 */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are the point.
  return text.replace(/[\x00-\x08\x0a-\x1f\x7f-\x9f]/g, (char) => {
    if (char === '\n' || char === '\r') return ' ';
    return `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`;
  });
}
