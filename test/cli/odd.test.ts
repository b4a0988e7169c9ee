/** Command lines and files of settings that nobody would write on purpose: a sentence each, and never a stack. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { commandLine, type Spoken } from "../fixtures/command-line.ts";
import type { Entry } from "../../bin/command.mts";
import { commands } from "../../bin/commands.mts";
import type { Settings } from "../../schemas/settings.ts";
import { assert, suite } from "../harness.ts";

const test = suite("odd command lines");
let folder = "";
test.before(async () => {
  folder = await mkdtemp(join(tmpdir(), "onestep-odd-"));
});
test.after(() => rm(folder, { recursive: true }));

let settings: Settings | undefined;
const table: Entry[] = commands.map((entry) =>
  "answer" in entry ? entry : { ...entry, start: async (input) => void (settings = input.settings) },
);

function line(args: string[]): Promise<Spoken> {
  settings = undefined;
  return commandLine(args, { table });
}

const bomb = [
  "a: &a [x,x,x,x,x,x,x,x,x]",
  ...["b", "c", "d", "e"].map((name, i) => `${name}: &${name} [${`*${"abcd"[i]},`.repeat(9)}]`),
].join("\n");

/** Contents of a file of settings, and the reason that is given. */
const files: [content: string | Uint8Array, says: RegExp][] = [
  ["seed: 1\n\tsize: 2", /Tabs are not allowed/],
  ["seed: 1\nseed: 2", /keys must be unique/],
  ["seed: [1", /end with a \]/],
  ["- 1\n- 2", /expected a group of settings/],
  ["just words", /expected a group of settings/],
  ["__proto__: {polluted: 1}", /Unknown setting "__proto__"/],
  ["constructor: {prototype: {polluted: 1}}", /Unknown setting "constructor"/],
  ["train: {__proto__: 1}", /Unknown setting "train\.__proto__"/],
  ["train: &x {loop: *x}", /Unknown setting "train\.loop"/],
  ["seed: *nowhere", /Unresolved alias/],
  [bomb, /Excessive alias count/],
  ["[".repeat(20_000), /Cannot read settings/],
  ["? {a: 1}\n: 5", /Unknown setting "\{ a: 1 \}"/],
  ["seed: 1\n---\nseed: 2", /multiple documents/],
  ["seed: !!binary aGVsbG8=", /Cannot set seed to/],
  ["seed: 2001-01-01", /Cannot set seed to "2001-01-01"/],
  ["seed: 9007199254740993", /Cannot set seed to 9007199254740993 .*below 2\^53/],
  ["simulate: {count: 1e400}", /Cannot set simulate\.count to 1e400 .*finite/],
  ["train: {learningRate: .nan}", /Cannot set train\.learningRate to \.nan/],
  ["x\u001b[2J: 1", /Unknown setting "x\\u\{1b\}\[2J"/],
  [Uint8Array.of(0xff, 0xfe, 0x73, 0), /it is not UTF-8/],
  [new Uint8Array(2 ** 20 + 1).fill(0x61), /longer than 1 MiB/],
];

test("files of settings that are none say why in one line", async () => {
  for (const [i, [content, says]] of files.entries()) {
    const path = join(folder, `${i}.yaml`);
    await writeFile(path, content);
    const { code, err } = await line(["doctor", "--config", path]);
    const about = `${String(content).slice(0, 40)}: ${err}`;
    assert.is(code, 2, about);
    assert.match(err, says, about);
    assert.match(err, /^[CU][^\n]+\n$/, about);
    assert.is(({} as { polluted?: number }).polluted, undefined);
  }
  for (const path of [folder, "/dev/zero", join(folder, "0.yaml/x"), "x".repeat(300), ""]) {
    const { code, err } = await line(["doctor", `--config=${path}`]);
    assert.is(code, 2, err);
    assert.match(err, /^(Cannot read settings from|Missing value) [^\n]+\n$/, err);
  }
  assert.is((await line(["doctor", "--config", "/dev/null"])).code, 0, "an empty file changes nothing");
});

/** Whole numbers as they were typed; what becomes of them, or why not. */
const numbers: [typed: string, becomes: number | RegExp][] = [
  ["9007199254740993", /to 9007199254740993 .*below 2\^53/],
  ["9007199254740992", /to 9007199254740992 .*below 2\^53/],
  ["18446744073709551615", /to 18446744073709551615 .*below 2\^53/],
  ["1e16", /to 1e16 .*below 2\^53/],
  ["1e400", /to 1e400 .*finite/],
  ["-1", /to -1 .*at least 0/],
  ["1.5", /to 1\.5 .*whole number/],
  ["1_000", /to "1_000" .*whole number/],
  ["NaN", /to "NaN"/],
  [".inf", /to \.inf/],
  ["[5]", /to \[ 5 \]/],
  ["{x: 9007199254740993}", /Cannot set seed to \{/],
  ["null", /to "null"/],
  ["five", /to "five"/],
  ["٥", /to "٥"/],
  ["9007199254740991", 9007199254740991],
  ["0x10", 16],
  ["-0", 0],
  [" 5", 5],
  ["5.0", 5],
  ["1e3", 1000],
  ["007", 7],
];

test("whole numbers are taken exactly, or refused as they were typed", async () => {
  for (const [typed, becomes] of numbers) {
    for (const given of [
      ["--seed", typed],
      ["--set", `seed=${typed}`],
    ]) {
      const { code, err } = await line(["doctor", ...given]);
      if (typeof becomes === "number") {
        assert.is(code, 0, err);
        assert.ok(Object.is(settings?.seed, becomes), `${given}: ${settings?.seed}`);
        continue;
      }
      assert.is(code, 2, `${given}: ${err}`);
      assert.match(err, becomes);
      assert.match(err, /^[^\n]+\n$/);
    }
  }
  const most = /expected a whole number from 1 to/;
  assert.match((await line(["sample", "--model", folder, "--out", "x.png", "--count", "99999999999999999999"])).err, most);
  assert.match((await line(["serve", folder, "--port", "65536"])).err, most);
  const seeds = ["evaluate", "--model", folder, "--reference", folder, "--seeds", "3", "--seed", "9007199254740991"];
  assert.match((await line(seeds)).err, /^Cannot use seed=9007199254740991 with evaluate\.seeds=3: .*below 2\^53/);
});

test("names of prototypes, empty words and control characters are only names", async () => {
  const odd = ["__proto__", "constructor", "toString", "", "\u0000", "\u001b[2J", "ü", "--", "-", "x".repeat(10_000)];
  for (const word of odd) {
    for (const args of [
      [word],
      ["help", word],
      ["doctor", word],
      ["doctor", `--${word}`],
      ["doctor", "--preset", word],
      ["doctor", "--device", word],
    ]) {
      const { code, err } = await line(args);
      assert.ok(code === 0 || code === 1 || code === 2, `${args}`);
      assert.not.match(err, /mistake in onestep|^ +at /m, `${JSON.stringify(args).slice(0, 100)}: ${err.slice(0, 300)}`);
      assert.not.ok(err.includes("\u001b") || err.includes("\u0000"), `${JSON.stringify(args)} is printed raw`);
    }
    for (const assignment of [`${word}=1`, `${word}.x=1`, `train.${word}=1`, `train.method=${word}`, `network.kind=${word}`]) {
      const { code, err } = await line(["doctor", "--set", assignment]);
      assert.is(code, 2, `${assignment.slice(0, 40)}: ${err.slice(0, 200)}`);
      assert.match(err, /^(Unknown|Cannot|Missing) [^\n]+\n$/);
    }
  }
  assert.is(({} as { x?: number }).x, undefined);
});

test.run();
