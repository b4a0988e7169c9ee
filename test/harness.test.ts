import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { assert, suite } from "./harness.ts";

const here = dirname(fileURLToPath(import.meta.url));

/** What each file holds, and a line that the runner must print about it. Every one of these must fail. */
const troubles: Record<string, [body: string, line: RegExp]> = {
  undefined: [`test("t", () => Promise.reject(undefined)); test.run();`, /threw undefined, which is not an Error/],
  hanging: [`test("t", () => new Promise(() => {}), { seconds: 0.05 }); test.run();`, /longer than its limit of 0.05 s/],
  empty: [`test.run();`, /suite "s" ran no test/],
  forgotten: [`test("t", () => {});`, /suite "s" was never run/],
  stray: [
    `test("t", async () => { Promise.reject(new Error("lost")); await new Promise((r) => setTimeout(r, 5)); }); test.run();`,
    /unhandled rejection: Error: lost/,
  ],
  before: [`test.before(() => { throw new Error("no"); }); test.run();`, /"before" hook failed/],
  crash: [`throw new Error("at import");`, /at import/],
  exits: [`test("t", () => process.exit(0)); test.run();`, /Exiting early/],
  killed: [`process.kill(process.pid, "SIGKILL");`, /killed by SIGKILL/],
  nothing: [``, /undefined was never run|"s" was never run/],
  spinning: [`test("t", () => { for (;;); }); test.run();`, /hung: stopped after 6 s/],
  lingering: [`setInterval(() => {}, 1000); test("t", () => {}); test.run();`, /something was left open/],
};

const test = suite("harness");

test(
  "counts every kind of trouble as a failure, and a passing file as passed",
  () => {
    const folder = mkdtempSync(join(tmpdir(), "onestep-harness-"));
    try {
      writeFileSync(join(folder, "package.json"), `{"type":"module"}`);
      const head = `import { assert, suite } from ${JSON.stringify(join(here, "harness.ts"))};\nconst test = suite("s");\n`;
      for (const [name, [body]] of Object.entries(troubles)) writeFileSync(join(folder, `${name}.test.ts`), head + body);
      writeFileSync(
        join(folder, "fine.test.ts"),
        `${head}test("t", () => assert.close([1, 2], [1, 2.5], 0.5));\ntest.skip("u", "no data here");\ntest.run();`,
      );
      const { status, stdout } = spawnSync(process.execPath, [join(here, "run.mjs"), "--folder", folder, "--limit", "6", "--jobs", "2"], {
        encoding: "utf8",
        env: { ...process.env, ONESTEP_TEST_LINGER: "0.2" },
      });
      for (const [name, [, line]] of Object.entries(troubles)) {
        const section = stdout.slice(stdout.search(new RegExp(`^FAIL .*${name}\\.test\\.ts`, "m"))).split(/\n(?=FAIL|  ok)/)[0]!;
        assert.match(section, line, `${name}:\n${section}`);
        assert.match(section, / [1-9] failed/, `${name}:\n${section}`);
      }
      assert.match(stdout, /skipped "u": no data here/);
      assert.match(stdout, /\n1 skipped\n\n3 passed, 14 failed\n$/); // "before" and "crash" also ran no test
      assert.match(stdout, / {2}ok .*fine\.test\.ts {2}1 passed\n/);
      assert.is(status, 1);
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
  { seconds: 60 },
);

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
