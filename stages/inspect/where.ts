/** The conditions of `--where`: comparisons as in SQL over the columns that are no tensors. */
import { badUsage, type Failure } from "../../schemas/failure.ts";
import { didYouMean } from "../../schemas/nearest.ts";
import type { Manifest } from "../../schemas/manifest.ts";
import { visible } from "../../schemas/visible.ts";
import { likeMatcher } from "./like.ts";

export type Scalars = Record<string, number | bigint | string | null | undefined>;

/** Whether a row is meant; null, as in SQL, where a null decides. */
export type Condition = (row: Scalars) => boolean | null;

type Literal = number | bigint | string;
type Token = { at: number; text: string; literal?: Literal };

const pattern = /\s*(?:(-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)|'((?:[^']|'')*)'|([A-Za-z_]\w*)|(<>|!=|<=|>=|[=<>(),]))/y;
const deepest = 200; // brackets within each other: reading them nests as deep
const comparisons: Record<string, (order: number) => boolean> = {
  "=": (order) => order === 0,
  "!=": (order) => order !== 0,
  "<>": (order) => order !== 0,
  "<": (order) => order < 0,
  "<=": (order) => order <= 0,
  ">": (order) => order > 0,
  ">=": (order) => order >= 0,
};

/** The columns that a condition may name. */
export function columnsToFilter({ kind }: Manifest): string[] {
  const own = kind === "triples" ? ["id", "seed", "imageIndex"] : ["id", "index", "name"];
  return [...own, "label", "class", "caption", "shard"];
}

/**
 * Reads a condition: = != < <= > >=, in (...), like '%word%', is [not] null, and, or, not, brackets; numbers and
 * 'words'. Throws a usage failure that names the place of the first mistake. A row is tried in time that grows with its
 * texts and the condition's length alone.
 */
export function parseWhere(text: string, columns: readonly string[]): Condition {
  const tokens = tokensOf(text);
  let next = 0;
  let depth = 0;
  const refuse = (expected: string): never => {
    const token = tokens[next];
    const found = token ? `found "${visible(token.text, most)}" at character ${token.at + 1}` : "it ends too early";
    throw wrong(text, `${found}, expected ${expected}; for example: label = 3 and caption like '%cat%'`);
  };
  const isWord = (word: string) => tokens[next]?.literal === undefined && tokens[next]?.text.toLowerCase() === word;
  const accept = (word: string) => (isWord(word) ? Boolean(++next) : false);
  const expect = (word: string) => accept(word) || refuse(word);
  const literal = (): Literal => tokens[next]?.literal ?? refuse("a number or a 'word'");
  const value = (): Literal => {
    const found = literal();
    next++;
    return found;
  };

  const either = (): Condition => {
    const parts = [both()];
    while (accept("or")) parts.push(both());
    return joined(parts, true);
  };
  const both = (): Condition => {
    const parts = [negation()];
    while (accept("and")) parts.push(negation());
    return joined(parts, false);
  };
  const negation = (): Condition => {
    let negated = false;
    while (accept("not")) negated = !negated;
    const inner = primary();
    return negated ? (row) => negate(inner(row)) : inner;
  };
  const primary = (): Condition => {
    if (accept("(")) {
      if (++depth > deepest) throw wrong(text, `it holds more than ${deepest} brackets within each other: write it with fewer`);
      const inner = either();
      expect(")");
      depth--;
      return inner;
    }
    const name = column();
    if (accept("is")) {
      const wanted = !accept("not");
      expect("null");
      return (row) => ((row[name] ?? null) === null) === wanted;
    }
    const negated = accept("not");
    const test = membership(name) ?? (negated ? refuse("in or like") : comparison(name));
    return negated ? (row) => negate(test(row)) : test;
  };
  const column = (): string => {
    const token = tokens[next];
    if (!token || token.literal !== undefined || !/^\w/.test(token.text)) return refuse("a column");
    const name = columns.find((candidate) => candidate.toLowerCase() === token.text.toLowerCase());
    if (!name) {
      const remedy = didYouMean(token.text, columns, `the columns are ${columns.join(", ")}`);
      throw wrong(text, `there is no column "${visible(token.text, most)}": ${remedy}`);
    }
    next++;
    return name;
  };
  const membership = (name: string): Condition | undefined => {
    if (accept("in")) {
      expect("(");
      const values = new Set([plain(value())]);
      while (accept(",")) values.add(plain(value()));
      expect(")");
      return (row) => known(row[name], (found) => values.has(plain(found)));
    }
    if (!accept("like")) return undefined;
    const matches = likeMatcher(String(value()));
    return (row) => known(row[name], (found) => matches(String(found)));
  };
  const comparison = (name: string): Condition => {
    const sign = tokens[next]?.literal === undefined ? (tokens[next]?.text ?? "") : "";
    const compare = Object.hasOwn(comparisons, sign) ? comparisons[sign]! : refuse("one of = != < <= > >= in like is");
    next++;
    const wanted = value();
    return (row) => known(row[name], (found) => compare(orderOf(found, wanted)));
  };

  const condition = either();
  if (next < tokens.length) refuse("and, or, or the end");
  return condition;
}

function tokensOf(text: string): Token[] {
  const tokens: Token[] = [];
  const end = text.trimEnd().length;
  let at = 0;
  while (at < end) {
    pattern.lastIndex = at;
    const match = pattern.exec(text);
    if (!match) {
      const place = at + text.slice(at).search(/\S/);
      const found = visible(String.fromCodePoint(text.codePointAt(place)!));
      throw wrong(text, `cannot read "${found}" at character ${place + 1}; words stand in single quotes, as in caption = 'a cat'`);
    }
    const [whole, number, word] = match;
    const token: Token = { at: at + whole.search(/\S/), text: whole.trim() };
    if (number !== undefined) token.literal = /^-?\d{16,}$/.test(number) ? BigInt(number) : Number(number);
    if (token.literal === Infinity || token.literal === -Infinity) {
      throw wrong(text, `the number "${visible(token.text, most)}" at character ${token.at + 1} is larger than any that a row can hold`);
    }
    if (word !== undefined) token.literal = word.replaceAll("''", "'");
    tokens.push(token);
    at = pattern.lastIndex;
  }
  return tokens;
}

const most = 80; // letters of a condition in a sentence about it

function wrong(text: string, reason: string): Failure {
  return badUsage(`Cannot filter by "${visible(text, most)}": ${reason}`);
}

/** A value as a set tells it from others: whole numbers as large integers, so that 3 and 3n are one. */
function plain(value: Literal): Literal {
  return typeof value === "number" && Number.isInteger(value) ? BigInt(value) : value;
}

function known(value: Scalars[string], test: (value: Literal) => boolean): boolean | null {
  return value === null || value === undefined ? null : test(value);
}

/** Below 0, 0 or above; NaN, so that no comparison holds but "not equal", for a word against a number. */
function orderOf(left: Literal, right: Literal): number {
  if ((typeof left === "string") !== (typeof right === "string")) return Number.NaN;
  return left < right ? -1 : left > right ? 1 : 0;
}

/** `or` of all where `decisive` is true, `and` where it is false: that value of any decides, else a null does. */
function joined(parts: readonly Condition[], decisive: boolean): Condition {
  if (parts.length === 1) return parts[0]!;
  return (row) => {
    let unknown = false;
    for (const part of parts) {
      const value = part(row);
      if (value === decisive) return decisive;
      unknown ||= value === null;
    }
    return unknown ? null : !decisive;
  };
}

function negate(value: boolean | null): boolean | null {
  return value === null ? null : !value;
}
