/**
 * HTML and SVG: the one place where words become markup. What a template of `markup` is given is escaped, unless such a
 * template made it: a name or caption that was forgotten stands in a page as words and never as an element.
 */
import { visible, visibleJson } from "../../schemas/visible.ts";

const made = Symbol("markup"); // no file and no answer of a server can hold a key that is a symbol

/** Markup that was made here; `String(it)` is its text. */
export interface Markup {
  readonly [made]: string;
  toString(): string;
}

/** What a template may be given: markup, words, numbers, lists of them, or nothing. */
type Content = Markup | string | number | bigint | null | undefined | readonly Content[];

const entities: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

/**
 * A template of HTML or SVG: markup is taken as it is, a list one after the other, null and undefined as nothing, and all
 * else as words, for content and for attributes in quotes. Characters that nobody sees, which XML forbids in part, are
 * written as in `visible`; tabs and line ends stay. Throws an Error for a value of an attribute without quotes.
 */
export function markup(parts: TemplateStringsArray, ...contents: readonly Content[]): Markup {
  const bare = parts.findIndex((part, i) => i < contents.length && part.endsWith("="));
  if (bare >= 0) throw new Error(`Cannot make markup: what follows ${parts[bare]!.slice(-20)} is not in quotes. Put it in quotes.`);
  return trusted(parts.map((part, i) => part + (i < contents.length ? textOf(contents[i]) : "")).join(""));
}

/** Markup that was written elsewhere: a style sheet or script of this program. Never text from outside. */
export function trusted(text: string): Markup {
  return { [made]: text, toString: () => text };
}

/** A value as JSON inside a `script` element: nothing in it ends the element or a line. */
export function jsonMarkup(value: unknown): Markup {
  return trusted(visibleJson(value).replaceAll("<", "\\u003c"));
}

function textOf(content: Content): string {
  if (content === null || content === undefined) return "";
  if (Array.isArray(content)) return content.map(textOf).join("");
  if (typeof content === "object" && made in content) return content[made];
  return String(content)
    .replace(/[^\t\r\n]+/g, (line) => visible(line))
    .replace(/[&<>"']/g, (letter) => entities[letter]!);
}
