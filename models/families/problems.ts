/** What keeps a specification from being a network: sides and widths that do not divide, and numbers that no network has. */
import type { DenoiserSpec } from "../../schemas/model.ts";

/** A wrong key of a specification ("network.heads"), and what is wrong with its value, in words. */
export interface SpecProblem {
  key: string;
  problem: string;
}

/**
 * The most blocks in a row, and the most levels: several times as many as the deepest networks that are published have. A
 * file may ask for a thousand million, and listing their parameters shall not fill the memory.
 */
const MOST_BLOCKS = 1024;
const MOST_LEVELS = 16;

/** The problems that networks of all families have in common. */
export function commonProblems({ network }: DenoiserSpec): SpecProblem[] {
  const { depth, textDepth, multipliers, attentionLevels, width, heads, condition } = network;
  const most = (key: string, value: number, limit: number, what: string): SpecProblem[] =>
    value > limit ? [{ key: `network.${key}`, problem: `${value} ${what} are more than the ${limit} that a network may have` }] : [];
  return [
    ...most("depth", depth, MOST_BLOCKS, "blocks"),
    ...most("textDepth", textDepth, MOST_BLOCKS, "blocks"),
    ...most("multipliers", multipliers.length, MOST_LEVELS, "levels"),
    ...most("attentionLevels", attentionLevels.length, MOST_LEVELS, "levels"),
    ...(condition === "caption" ? undivided({ key: "network.heads", parts: heads, what: "channels of network.width", whole: width }) : []),
  ];
}

/** A problem unless `whole` can be divided into as many parts as `key` says. */
export function undivided(options: { key: string; parts: number; what: string; whole: number }): SpecProblem[] {
  const { key, parts, what, whole } = options;
  return whole % parts === 0 ? [] : [{ key, problem: `${parts} does not divide the ${whole} ${what}` }];
}
