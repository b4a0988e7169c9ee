import { visible } from "./visible.ts";

/**
 * A word as a POSIX shell takes it back; where it holds what nobody sees, its bytes in octal in $'...', to be copied from a terminal.
 *
 * @example
 * import { quoted } from "./quoted.ts";
 * assert.equal(["--out=a/b", "two words"].map(quoted).join(" "), "--out=a/b 'two words'");
 */
export function quoted(word: string): string {
  if (/^[\w@%+=:,./-]+$/.test(word)) return word;
  if (visible(word) === word) return `'${word.replaceAll("'", `'\\''`)}'`;
  const octal = (letter: string) => `\\${letter.charCodeAt(0).toString(8).padStart(3, "0")}`;
  const letters = [...Buffer.from(word).toString("latin1")]; // one a byte
  return `$'${letters.map((letter) => (/[ -&(-[\]-~]/.test(letter) ? letter : octal(letter))).join("")}'`;
}
