/** `bench` on tiny programs, and its request on the command line. */
import { readdir } from "node:fs/promises";
import { bench } from "../../pipelines/bench.ts";
import { readArguments } from "../../bin/arguments.mts";
import { type BenchProgram, ditStep } from "../../stages/bench/programs.ts";
import { ditSample } from "../../stages/bench/sampling.ts";
import { assert, suite } from "../harness.ts";
import { recordingContext, tinySettings } from "../train/fixture.ts";

const test = suite("bench");

const tiny = { depth: 1, batch: 2, width: 32, side: 4 };
const programs: Record<string, BenchProgram> = {
  step: { about: "a step", unit: "steps", amount: 1, start: (engine) => ditStep(engine, tiny) },
  sample: { about: "a sample", unit: "images", amount: 2, start: (engine) => ditSample(engine, tiny) },
  broken: { about: "nothing", unit: "steps", amount: 1, start: () => Promise.reject(new Error("it lacks an op")) },
};
const settings = tinySettings();

test("steps, sampling and the store are measured, and what does not run is a warning", async () => {
  const { context, events } = recordingContext();
  await bench({ only: ["step", "broken", "sample", "store"], device: "cpu", seconds: 0.05, rows: 16, settings, context, programs });
  const machine = events.find(({ stage }) => stage === "machine");
  assert.ok(machine?.type === "result" && Object.keys(machine.values).length === 8);
  const tables = events.flatMap((event) => (event.type === "table" ? [event] : []));
  assert.equal(
    tables.map(({ stage }) => stage),
    ["programs", "store"],
  );
  assert.equal(
    tables[0]?.rows.map(({ program, device, unit }) => [program, device, unit]),
    [
      ["step", "cpu", "steps"],
      ["sample", "cpu", "images"],
    ],
  );
  assert.equal(
    tables[1]?.rows.map(({ store }) => store),
    ["write", "first read, every sha256", "shuffled batches"],
  );
  for (const row of tables.flatMap(({ rows }) => rows)) {
    for (const value of Object.values(row))
      if (typeof value === "number") assert.ok(value > 0 && Number.isFinite(value), JSON.stringify(row));
  }
  const rate = tables[0]?.rows[1] as Record<string, number>;
  assert.ok(Math.abs((rate["a second"] as number) * (rate["ms a run"] as number) - 2000) < 1e-6, "two images a run");
  const warnings = events.flatMap((event) => (event.type === "warning" ? [event.message] : []));
  assert.equal(warnings, ["broken does not run on cpu: it lacks an op"]);
  assert.equal(
    (await readdir(".")).filter((name) => name.startsWith(".onestep-bench")),
    [],
  );
});

test("an unknown name is a usage failure; an aborted bench ends with the signal's reason", async () => {
  const { context, stop } = recordingContext();
  const error = await assert.rejects(
    bench({ only: ["stor"], seconds: 1, settings, context }),
    'Cannot measure "stor": did you mean "store"?',
  );
  assert.is((error as Error & { exitCode: number }).exitCode, 2);
  stop(new Error("Ctrl-C"));
  await assert.rejects(bench({ only: ["step"], device: "cpu", seconds: 1, settings, context, programs }), "Ctrl-C");
});

test("the command line hands on what was asked for", () => {
  const { flags } = readArguments(["bench", "--only", "dit,store", "--seconds", "2", "--device", "cpu"]);
  assert.equal({ ...flags }, { only: "dit,store", seconds: "2", device: "cpu" });
  assert.throws(() => readArguments(["bench", "--seconds", "0"]), /Cannot set --seconds to "0": expected a whole number above 0/);
  assert.throws(() => readArguments(["doctor", "--profile"]), /Missing value after "--profile"/);
});

test.run();
