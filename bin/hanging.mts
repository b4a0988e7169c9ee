/** Text in lines that fit a terminal. */

/**
 * A text after a beginning, in lines of at most `columns`, of which the later are indented to where the text begins. A word that is
 * longer than a line is not cut.
 *
 * @example
 * hanging("  out  ", "one two three", 14); // ["  out  one two", "       three"]
 */
export function hanging(beginning: string, text: string, columns: number): string[] {
  const room = columns - beginning.length;
  if (text.length <= room) return [`${beginning}${text}`];
  const lines: string[] = [];
  for (const word of text.split(/ +/)) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= room) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines.map((line, i) => `${i === 0 ? beginning : " ".repeat(beginning.length)}${line}`);
}
