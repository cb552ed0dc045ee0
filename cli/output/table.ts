/** Columns as Docker prints them: padded with spaces, `gap` between them, no boxes. */
export function formatTable(rows: readonly (readonly string[])[], gap = 3): string {
  const widths: number[] = [];
  for (const row of rows)
    row.forEach((cell, i) => {
      widths[i] = Math.max(widths[i] ?? 0, displayWidth(cell));
    });
  return rows.map((row) => `${formatRow(row, widths, gap)}\n`).join('');
}

function formatRow(row: readonly string[], widths: readonly number[], gap: number): string {
  const cells = row.map((cell, i) =>
    i === row.length - 1 ? cell : cell + ' '.repeat(widths[i]! - displayWidth(cell) + gap),
  );
  return cells.join('').trimEnd();
}

/** Characters on the screen: combining marks count nothing, wide East Asian ones two. */
export function displayWidth(text: string): number {
  if (/^[\x20-\x7e]*$/.test(text)) return text.length;
  let width = 0;
  for (const char of text) {
    if (/\p{Mark}|\p{Control}|\p{Format}/u.test(char)) continue;
    width +=
      /\p{Script=Han}|\p{Script=Hangul}|\p{Script=Hiragana}|\p{Script=Katakana}|\p{Emoji_Presentation}/u.test(
        char,
      )
        ? 2
        : 1;
  }
  return width;
}

/** Cuts to `max` characters, the last of which is then an ellipsis. */
export function truncate(text: string, max: number): string {
  const chars = [...text];
  return chars.length <= max ? text : `${chars.slice(0, Math.max(0, max - 1)).join('')}…`;
}
