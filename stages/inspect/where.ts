/** The conditions of `--where`: comparisons as in SQL over the columns that are no tensors. */
import { badUsage } from "../../schemas/failure.ts";
import { didYouMean } from "../../schemas/nearest.ts";
import type { Manifest } from "../../schemas/manifest.ts";

export type Scalars = Record<string, number | bigint | string | null | undefined>;

/** Whether a row is meant; null, as in SQL, where a null decides. */
export type Condition = (row: Scalars) => boolean | null;

type Literal = number | bigint | string;
type Token = { at: number; text: string; literal?: Literal };

const pattern = /\s*(?:(\d+(?:\.\d+)?(?:e[+-]?\d+)?|-\d+(?:\.\d+)?)|'((?:[^']|'')*)'|([A-Za-z_]\w*)|(<>|!=|<=|>=|[=<>(),]))/y;
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
 * 'words'. Throws a usage failure that names the place of the first mistake.
 */
export function parseWhere(text: string, columns: readonly string[]): Condition {
  const tokens = tokensOf(text);
  let next = 0;
  const refuse = (expected: string): never => {
    const token = tokens[next];
    const found = token ? `found "${token.text}" at character ${token.at + 1}` : "it ends too early";
    throw badUsage(`Cannot filter by "${text}": ${found}, expected ${expected}; for example: label = 3 and caption like '%cat%'`);
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
    let left = both();
    while (accept("or")) left = join(left, both(), true);
    return left;
  };
  const both = (): Condition => {
    let left = negation();
    while (accept("and")) left = join(left, negation(), false);
    return left;
  };
  const negation = (): Condition => {
    if (!accept("not")) return primary();
    const inner = negation();
    return (row) => negate(inner(row));
  };
  const primary = (): Condition => {
    if (accept("(")) {
      const inner = either();
      expect(")");
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
      throw badUsage(`Cannot filter by "${text}": there is no column "${token.text}": ${remedy}`);
    }
    next++;
    return name;
  };
  const membership = (name: string): Condition | undefined => {
    if (accept("in")) {
      expect("(");
      const values = [value()];
      while (accept(",")) values.push(value());
      expect(")");
      return (row) => known(row[name], (found) => values.some((each) => orderOf(found, each) === 0));
    }
    if (!accept("like")) return undefined;
    const form = new RegExp(
      `^${String(value())
        .replace(/[.*+?^${}()|[\]\\]/g, "\\$&")
        .replaceAll("%", ".*")
        .replaceAll("_", ".")}$`,
      "s",
    );
    return (row) => known(row[name], (found) => form.test(String(found)));
  };
  const comparison = (name: string): Condition => {
    const compare = comparisons[tokens[next]?.text ?? ""] ?? refuse("one of = != < <= > >= in like is");
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
  let at = 0;
  while (text.slice(at).trim() !== "") {
    pattern.lastIndex = at;
    const match = pattern.exec(text);
    if (!match) {
      const place = at + text.slice(at).search(/\S/);
      throw badUsage(
        `Cannot filter by "${text}": cannot read "${text[place]}" at character ${place + 1}; ` +
          "words stand in single quotes, as in caption = 'a cat'",
      );
    }
    const [whole, number, word] = match;
    const token: Token = { at: at + whole.search(/\S/), text: whole.trim() };
    if (number !== undefined) token.literal = /^-?\d{16,}$/.test(number) ? BigInt(number) : Number(number);
    if (word !== undefined) token.literal = word.replaceAll("''", "'");
    tokens.push(token);
    at = pattern.lastIndex;
  }
  return tokens;
}

function known(value: Scalars[string], test: (value: Literal) => boolean): boolean | null {
  return value === null || value === undefined ? null : test(value);
}

/** Below 0, 0 or above; NaN, so that no comparison holds but "not equal", for a word against a number. */
function orderOf(left: Literal, right: Literal): number {
  if ((typeof left === "string") !== (typeof right === "string")) return Number.NaN;
  return left < right ? -1 : left > right ? 1 : 0;
}

/** `or` where `decisive` is true, `and` where it is false: that value on either side decides, else a null does. */
function join(left: Condition, right: Condition, decisive: boolean): Condition {
  return (row) => {
    const [a, b] = [left(row), right(row)];
    if (a === decisive || b === decisive) return decisive;
    return a === null || b === null ? null : !decisive;
  };
}

function negate(value: boolean | null): boolean | null {
  return value === null ? null : !value;
}
