/** What is wrong with a training, read off its history. */
import type { Finding, Line, Rule } from "../../schemas/figures.ts";

/** What the rules find at the end of a history; nothing where it is too short to say. A pure function of it. */
export function findingsOf(history: readonly Line[], rules: readonly Rule[]): Finding[] {
  return rules.flatMap((rule) => rule(history) ?? []);
}
