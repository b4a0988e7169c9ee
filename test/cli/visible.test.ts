/** Text from outside at every exit to a terminal: nothing in it may act on the terminal or forge a line. */
import { commandLine } from "../fixtures/command-line.ts";
import { createReporter, type Mode } from "../../bin/reporter.mts";
import type { PipelineEvent } from "../../schemas/events.ts";
import { displayName, visible, visibleJson, visibleLines } from "../../schemas/visible.ts";
import { assert, suite } from "../harness.ts";

const test = suite("visible");

/** Everything that Unicode 15 calls a control, a format character or a separator of lines, by its number alone. */
const dangerous = [
  ...range(0x00, 0x1f),
  ...range(0x7f, 0x9f),
  ...[0xad, 0x61c, 0x180e, 0xfeff],
  ...range(0x200b, 0x200f),
  ...range(0x2028, 0x202e),
  ...range(0x2060, 0x206f),
  ...range(0xfff9, 0xfffb),
  ...range(0xe0001, 0xe007f),
].map((code) => String.fromCodePoint(code));

const hostile = [
  "\u001b]0;title\u0007",
  "\u001b[2J\u001b[31mred",
  "\u009b31mred",
  "two\r\nwarning: forged",
  "two\u2028lines\u2029\u0085",
  "\u202egnp.exe",
  "\u2066isolated\u2069",
  "lone \ud800 half",
  "\u007f\b\b\bover",
];

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, i) => from + i);
}

test("makes every control, format character and separator of lines visible, once", () => {
  for (const character of dangerous) {
    const shown = visible(`a${character}b`);
    assert.is(shown, `a\\u{${character.codePointAt(0)!.toString(16)}}b`);
    assert.is(visible(shown), shown);
  }
  assert.is(visible("lone \ud800"), "lone \\u{d800}");
});

test("leaves words and emoji that are written with joiners readable", () => {
  const readable = [
    "می\u200cخواهم کتاب\u200cها", // Persian: half-spaces inside words
    "क्\u200dष and ක්\u200dර", // conjuncts of Devanagari and Sinhala
    "👨\u200d👩\u200d👧 🏳\ufe0f\u200d🌈 👩🏽\u200d⚕\ufe0f ❤\ufe0f\u200d🔥", // families, flags, professions, hearts
    "\u{1f3f4}\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}", // Scotland's flag
    "\u{1fae9}", // an emoji that is younger than Node 20
    'café "naïve" наутро 🐈 10 % \\ é',
  ];
  for (const text of readable) assert.is(visible(text), text);
  assert.is(visible("ca\u200dt"), "ca\\u{200d}t", "joins nothing in Latin letters: it only makes two names look the same");
  assert.is(visible("\u{e0063}\u{e0061}\u{e0074}"), "\\u{e0063}\\u{e0061}\\u{e0074}", "tags without a flag hide words");
});

test("shortens without cutting a character in two", () => {
  assert.is(visible("abcdef", 4), "abc…");
  assert.is(visible("ab🐈cd", 4), "ab…");
  assert.is(displayName(`${"é".repeat(300)}`).length, 200);
  assert.is(displayName("a\\u{1b}\u001b"), "a\\\\u{1b}\\u{1b}", "a name that spells an escape is told from one that holds it");
});

test("keeps lines that were made here", () => {
  assert.is(visibleLines("one\n two \u001b[1m\nthree\n"), "one\n two \\u{1b}[1m\nthree\n");
});

test("writes JSON that says the same and holds nothing that is hidden", () => {
  const value = { [hostile[0]!]: [...hostile, ...dangerous, "می\u200cخواهم", "\u{e0041}"], n: 1.5 };
  const text = visibleJson(value);
  assert.not.match(text, /(?!\u200c)[\p{C}\p{Zl}\p{Zp}]/u);
  assert.equal(JSON.parse(text), value);
});

/** What a reporter writes of some events. */
function written(mode: Mode, events: readonly PipelineEvent[]): string {
  let all = "";
  const write = (text: string) => void (all += text);
  const reporter = createReporter({ mode, out: write, err: write, now: () => 0, after: () => {} });
  for (const event of events) reporter.report(event);
  reporter.close();
  return all;
}

const eventsOf = (text: string): PipelineEvent[] => [
  { type: "progress", stage: text, done: 1, total: 1, unit: text, values: { [text]: 1 } },
  { type: "note", stage: text, message: text },
  { type: "warning", stage: text, message: text },
  { type: "result", stage: text, values: { [text]: text, count: 1 } },
  { type: "table", stage: text, rows: [{ [text]: text, count: 1 }], about: text },
];

test("every kind of event is shown without one hidden character, and lines stay one", () => {
  for (const text of hostile) {
    for (const mode of ["bars", "lines", "quiet", "json"] as const) {
      for (const event of eventsOf(text)) {
        const shown = written(mode, [event]);
        assert.not.match(shown.replaceAll("\n", ""), /[\p{C}\p{Zl}\p{Zp}]/u, `${mode} ${event.type} of ${JSON.stringify(text)}`);
        const usual = written(
          mode,
          eventsOf("word").filter(({ type }) => type === event.type),
        );
        if (event.type !== "note") assert.is(shown.split("\n").length, usual.split("\n").length, `${mode} ${event.type}`);
      }
    }
  }
});

test("names are escaped once: what is visible already stays as it is", () => {
  const name = displayName("\u001b[31m");
  assert.is(
    written("lines", [{ type: "warning", stage: "ingest", message: `${name}: not an image` }]),
    "warning: ingest: \\u{1b}[31m: not an image\n",
  );
});

test("an error's sentence and stack are shown likewise, and the command that resumes can be typed again", async () => {
  const run = async (args: string[], start: () => Promise<void>, signal = new AbortController().signal) => {
    const command = { name: "inspect", summary: "", about: "", examples: [], positionals: [{ name: "path", about: "" }], flags: {}, start };
    return (await commandLine(args, { table: [command as never], signal, columns: 80 })).said;
  };
  const failure = Object.assign(new Error(`Cannot inspect "\u001b[31mx\nforged": it is no store.`), { name: "Failure", exitCode: 1 });
  assert.is(await run(["inspect", "x"], () => Promise.reject(failure)), 'Cannot inspect "\\u{1b}[31mx\\u{a}forged": it is no store.\n');
  const stack = await run(["inspect", "x"], () => Promise.reject(new Error("\u001b[31mred")));
  assert.match(stack, /^Error: \\u\{1b\}\[31mred\n {4}at /);

  const controller = new AbortController();
  const stopped = await run(["inspect", "it's \u001b[31mé"], async () => controller.abort(), controller.signal);
  assert.is(stopped, "Stopped. The same command resumes: pipeline inspect $'it\\047s \\033[31m\\303\\251'\n");
});

test.run();
