import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { brief } from "./brief.mjs";
import { assert, suite } from "./harness.ts";

const here = dirname(fileURLToPath(import.meta.url));

/** What each file holds, and a line that the runner must print about it. Every one of these must fail. */
const troubles: Record<string, [body: string, line: RegExp]> = {
  undefined: [`test("t", () => Promise.reject(undefined)); test.run();`, /threw undefined, which is not an Error/],
  hanging: [`test("t", () => new Promise(() => {}), { seconds: 0.05 }); test.run();`, /longer than its limit of 0.2 s/],
  empty: [`test.run();`, /suite "s" ran no test/],
  forgotten: [`test("t", () => {});`, /suite "s" was never run/],
  stray: [
    `test("t", async () => { Promise.reject(new Error("lost")); await new Promise((r) => setTimeout(r, 5)); }); test.run();`,
    /unhandled rejection: Error: lost/,
  ],
  before: [`test.before(() => { throw new Error("no"); }); test.run();`, /"before" hook failed/],
  crash: [`throw new Error("at import");`, /at import/],
  exits: [`test("t", () => process.exit(0)); test.run();`, /Exiting early/],
  killed: [`process.kill(process.pid, "SIGKILL");`, /killed by SIGKILL, as the system does where memory runs out before a test began/],
  aborts: [
    `test("u", () => {}); test("t", () => { console.error("FATAL ERROR: no more"); process.abort(); }); test.run();`,
    /killed by SIGABRT, .* in "t"/,
  ],
  nothing: [``, /undefined was never run|"s" was never run/],
  lingering: [`setInterval(() => {}, 1000); test("t", () => {}); test.run();`, /something was left open/],
};

const test = suite("harness");

/** Runs the files of these bodies by the runner, with its own words; what it prints. */
function ran(bodies: Record<string, string>, ...words: string[]): { status: number | null; stdout: string } {
  const folder = mkdtempSync(join(tmpdir(), "onestep-harness-"));
  try {
    writeFileSync(join(folder, "package.json"), `{"type":"module"}`);
    const head = `import { assert, suite } from ${JSON.stringify(join(here, "harness.ts"))};\nconst test = suite("s");\n`;
    for (const [name, body] of Object.entries(bodies)) writeFileSync(join(folder, `${name}.test.ts`), head + body);
    return spawnSync(process.execPath, [join(here, "run.mjs"), "--folder", folder, "--jobs", "2", ...words], {
      encoding: "utf8",
      env: { ...process.env, ONESTEP_TEST_LINGER: "0.2" },
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test(
  "counts every kind of trouble as a failure, and a passing file as passed",
  () => {
    const bodies = Object.fromEntries(Object.entries(troubles).map(([name, [body]]) => [name, body]));
    const fine = `test("t", () => assert.close([1, 2], [1, 2.5], 0.5));\ntest.skip("u", "no data here");\ntest.run();`;
    const { status, stdout } = ran({ ...bodies, fine });
    const [whole = "", ...atEnd] = stdout.split(/^failed: /m);
    for (const [name, [, line]] of Object.entries(troubles)) {
      const section = whole.slice(whole.search(new RegExp(`^FAIL .*${name}\\.test\\.ts`, "m"))).split(/\n(?=FAIL|  ok)/)[0]!;
      assert.match(section, line, `${name}:\n${section}`);
      assert.match(section, / [1-9] failed/, `${name}:\n${section}`);
      const short = atEnd.find((each) => each.split("\n")[0]!.includes(`${name}.test.ts`)) ?? "";
      assert.match(short, line, `${name}, in short:\n${short}`);
      assert.not.match(short, /^ *at /m);
    }
    assert.match(stdout, /skipped "u": no data here/);
    assert.match(stdout, /\n1 skipped\n\n3 passed, 14 failed\n$/); // "before" and "crash" also ran no test
    assert.match(stdout, / {2}ok .*fine\.test\.ts {2}1 passed\n/);
    assert.is(status, 1);
  },
  { seconds: 120 },
);

test("a file that hangs where no timer of its own can end it is stopped, and its test named", () => {
  const { stdout } = ran({ spinning: `test("t", () => { for (;;); }); test.run();` }, "--limit", "6");
  assert.match(stdout, /^failed: .*spinning\.test\.ts hung: stopped after 6 s (in "t"|before a test began)$/m); // a start may take as long
});

test("in short, a failure is its title and what follows it, a crash its last words", () => {
  const report = [
    " s  • ✘   (1 / 2)",
    "",
    '   FAIL  s  "adds"',
    "    Expected values to be strictly equal:  (is)",
    "",
    "        ++1    (Expected)",
    "        --2    (Actual)",
    "",
    "    at is (file:///uvu/assert/index.mjs:44:8)",
    "",
    "  Total:     2",
  ].join("\n");
  assert.is(
    brief({ name: "a.test.ts", output: report, trouble: "" }),
    'a.test.ts\n    FAIL  s  "adds"\n    Expected values to be strictly equal:  (is)\n    ++1    (Expected)\n    --2    (Actual)',
  );
  const frames = Array.from({ length: 40 }, (_, i) => `${i + 1}: 0xb76db1 node::OOMErrorHandler(char const*) [node]`);
  const abort = [" s  • ", "<--- Last few GCs --->", "FATAL ERROR: Reached heap limit", "----- Native stack trace -----", ...frames];
  assert.match(
    brief({ name: "b.test.ts", output: abort.join("\n"), trouble: "killed by SIGABRT" }),
    /^b\.test\.ts killed by SIGABRT\n(.*\n)*? *FATAL ERROR: Reached heap limit$/,
  );
  const long = brief({ name: "c.test.ts", output: `FAIL ${"x".repeat(1e5)}\n`.repeat(100), trouble: "" });
  assert.ok(long.split("\n").length < 40 && long.length < 20_000, `${long.length} characters`);
});

test("compares numbers within a tolerance, and NaN with nothing", () => {
  assert.throws(() => assert.close(1, 1.1, 0.05), /got 1, expected 1.1 \(difference/);
  assert.throws(() => assert.close([0, Number.NaN], [0, Number.NaN], 1), /index 1/);
  assert.throws(() => assert.close([0], [0, 0], 1), /length 1, expected 2/);
  assert.close(Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, 0);
});

test("sees whether a promise rejects, and with what", async () => {
  const error = await assert.rejects(Promise.reject(new Error("the disk is full")), /disk/);
  assert.is(error.message, "the disk is full");
  await assert.rejects(assert.rejects(Promise.resolve(1)), "expected a rejection, got 1");
  await assert.rejects(assert.rejects(Promise.reject(null)), "threw null");
});

test.run();
