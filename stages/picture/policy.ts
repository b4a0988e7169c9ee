/** What a page may do, as its content security policy says it to the browser. */
import { createHash } from "node:crypto";

/**
 * The policy of a page that runs and wears only what it was written with (`scripts` and `styles`, the exact texts of its
 * elements) and shows pictures that it holds. `asks`: it may ask the server that it came from.
 */
export function pagePolicy({
  styles,
  scripts = [],
  asks = false,
}: {
  styles: readonly string[];
  scripts?: readonly string[];
  asks?: boolean;
}): string {
  const rules = {
    "script-src": scripts.map(hashOf),
    "style-src": styles.map(hashOf),
    "img-src": ["data:"],
    "connect-src": asks ? ["'self'"] : [],
  };
  const none = ["default-src", "base-uri", "form-action"].map((rule) => `${rule} 'none'`);
  return [
    ...none,
    ...Object.entries(rules).flatMap(([rule, sources]) => (sources.length > 0 ? [`${rule} ${sources.join(" ")}`] : [])),
  ].join("; ");
}

/** Of the text as a browser reads it: with line feeds alone. */
const hashOf = (text: string): string => `'sha256-${createHash("sha256").update(text.replace(/\r\n?/g, "\n")).digest("base64")}'`;
