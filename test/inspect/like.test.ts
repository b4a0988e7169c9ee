/** `like`, against the definition word by word, and in time. */
import { likeMatcher } from "../../stages/inspect/like.ts";
import { parseWhere } from "../../stages/inspect/where.ts";
import { assert, suite } from "../harness.ts";

const test = suite("like");

/** By SQL's definition, as a table over both: whether the first j letters of the text are of the first i of the form. */
function likeByDefinition(form: string, text: string): boolean {
  const [f, t] = [[...form], [...text]];
  let row = [true, ...t.map(() => false)];
  for (const letter of f) {
    const next = [letter === "%" && row[0]!];
    for (const [j, found] of t.entries()) {
      next.push(letter === "%" ? row[j + 1]! || next[j]! : (letter === "_" || letter === found) && row[j]!);
    }
    row = next;
  }
  return row.at(-1)!;
}

/** A stream of whole numbers below n that is the same in every run (Park and Miller 1988). */
function dice(seed: number): (n: number) => number {
  let state = seed;
  return (n) => {
    state = (state * 48271) % 2147483647;
    return state % n;
  };
}

test("is what the definition says, for thousands of forms and texts", () => {
  const roll = dice(7);
  const word = (letters: readonly string[], most: number) =>
    Array.from({ length: roll(most + 1) }, () => letters[roll(letters.length)]!).join("");
  let held = 0;
  for (let i = 0; i < 20_000; i++) {
    const form = word(["a", "b", "🐈", "%", "_", "a"], i % 10 === 0 ? 80 : 9); // longer than two words of 32 states too
    const text = i % 3 === 0 ? form.replaceAll("%", () => word(["a", "b"], 3)).replaceAll("_", "🐈") : word(["a", "b", "🐈"], 12);
    const expected = likeByDefinition(form, text);
    assert.is(likeMatcher(form)(text), expected, `"${text}" like '${form}'`);
    if (expected) held++;
  }
  assert.ok(held > 5000 && held < 15_000, `${held} of them hold`);
});

test("takes every letter but % and _ for itself, over lines too", () => {
  const cases: [string, string, boolean][] = [
    ["", "", true],
    ["", "a", false],
    ["%", "", true],
    ["_", "", false],
    ["a.c", "abc", false],
    ["a\\%", "a\\bc", true],
    ["^a$", "a", false],
    ["(a+)+$", "(a+)+$", true],
    ["a%d", "a\nb\r\u2028d", true],
    ["_", "🐈", true],
    ["_", "\ud83d", true],
    ["Cat", "cat", false],
    [`${"_".repeat(31)}x`, `${"é".repeat(31)}x`, true],
    [`${"_".repeat(64)}`, "é".repeat(64), true],
    [`${"_".repeat(64)}`, "é".repeat(63), false],
  ];
  for (const [form, text, expected] of cases) assert.is(likeMatcher(form)(text), expected, `"${text}" like '${form}'`);
});

// Of a matcher that steps back it is hours' work: the test would have hung.
test("a form of many wildcards over a long text is no more work than any other", () => {
  const text = "a".repeat(40_000);
  for (const form of [
    "%a%a%a%b",
    `${"%a".repeat(50)}%b`,
    `%${"a".repeat(200)}b%`,
    `%${"a_".repeat(100)}b%`,
    "%_%_%_%_%b",
    `${"%_".repeat(60)}b`,
  ]) {
    assert.is(parseWhere(`caption like '${form}'`, ["caption"])({ caption: text }), false);
    assert.is(parseWhere(`caption like '${form}'`, ["caption"])({ caption: `${text}b` }), true);
  }
});

test.run();
