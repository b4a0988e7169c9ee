/** The profiler: a tiny program for real, and a GPU's trace by hand. */
import { readdir } from "node:fs/promises";
import type { Engine } from "../../engine/engine.ts";
import { profile, summarise } from "../../engine/profile.ts";
import { tf, type Tensor } from "../../engine/tfjs.ts";
import { reportProfile } from "../../stages/doctor/profile.ts";
import type { BenchProgram } from "../../stages/bench/programs.ts";
import { ownTemporaries } from "../fixtures/folders.ts";
import { assert, suite } from "../harness.ts";
import { recordingContext } from "../train/fixture.ts";

const test = suite("profile");

/** Two programs a step: tanh(x y), run once, and its input's cosine, run twice. */
async function start(engine: Engine) {
  const inputs = { x: { shape: [8, 16] }, y: { shape: [16, 4] } };
  const feeds = { x: new Float32Array(128).fill(0.1), y: new Float32Array(64).fill(0.2) };
  const first = await engine.compile({
    name: "product",
    sets: {},
    inputs,
    run: (_, { x, y }) => ({ outputs: { z: tf.tanh(tf.matMul(x as never, y as never)) } }),
  });
  const second = await engine.compile({
    name: "cosine",
    sets: {},
    inputs: { x: inputs.x },
    run: (_, { x }) => ({ outputs: { z: tf.cos(x as Tensor) } }),
  });
  return async () => {
    await first.run(feeds);
    await second.run({ x: feeds.x });
    await second.run({ x: feeds.x });
    return {};
  };
}

const temporaries = ownTemporaries();
const profiles = async () => (await readdir(temporaries)).filter((name) => name.startsWith("onestep-profile-"));

test("shares add up to the whole step, over several programs, and nothing is left behind", async () => {
  const before = await profiles();
  let turns = 0;
  const result = await profile({ threads: 1, steps: 3, warmup: 2, start, turn: async () => void turns++ });
  assert.is(turns, 5);
  for (const rows of [result.byOp, result.byShape]) {
    const nodes = rows.reduce((sum, { share }) => sum + share, 0);
    assert.ok(Math.abs(nodes + (result.between + result.outside) / result.wall - 1) < 1e-9);
  }
  assert.ok(result.between >= 0 && result.outside >= 0);
  const calls = Object.fromEntries(result.byOp.map(({ op, calls }) => [op, calls]));
  assert.is(calls.MatMul ?? calls.Gemm, 1);
  assert.is(calls.Tanh, 1);
  assert.is(calls.Cos, 2);
  assert.equal(result.strayed, []);
  const product = result.byShape.find(({ op }) => op === "MatMul" || op === "Gemm");
  assert.is(product?.shapes, "[8,16] [16,4] -> [8,4]");
  assert.is(product?.provider, "CPUExecutionProvider");
  assert.equal(await profiles(), before);
});

test("a step that fails is reported and leaves nothing behind", async () => {
  const before = await profiles();
  const failing = async (engine: Engine) => {
    await start(engine);
    return async () => {
      throw new Error("no luck");
    };
  };
  await assert.rejects(profile({ threads: 1, steps: 1, start: failing }), "no luck");
  assert.equal(await profiles(), before);
});

test("on a GPU its kernels are listed, and the nodes that ran on the CPU", () => {
  const node = (op: string, provider: string, at: { ts: number; dur: number }) => ({
    cat: "Node",
    name: `${op}_1_kernel_time`,
    ...at,
    args: { op_name: op, provider, input_type_shape: [{ float: [2, 3] }], output_type_shape: [{ float: [2, 3] }] },
  });
  const run = (ts: number) => [
    node("Add", "WebGpuExecutionProvider", { ts: ts + 1, dur: 100 }),
    node("Cast", "CPUExecutionProvider", { ts: ts + 200, dur: 300 }),
    node("MemcpyToHost", "WebGpuExecutionProvider", { ts: ts + 510, dur: 0 }),
    {
      cat: "Api",
      name: "/add&Add&Add",
      ts: ts + 99_000,
      dur: 50,
      args: { shapes: "inputs[0] = {2,3} inputs[1] = {3} outputs[0] = {2,3} " },
    },
    { cat: "Session", name: "model_run", ts, dur: 600 },
  ];
  const result = summarise([[...run(0), ...run(1000), ...run(2000)]], { wall: 1, steps: 2, warmup: 1, device: "webgpu" });
  assert.equal(
    [result.nodes, result.between, result.outside].map((ms) => ms.toFixed(3)),
    ["0.400", "0.200", "0.400"],
  );
  assert.equal(result.strayed, [
    { op: "Cast", shapes: "[2,3] -> [2,3]", provider: "CPUExecutionProvider", calls: 1, ms: 0.3, share: 0.3 },
    { op: "MemcpyToHost", shapes: "[2,3] -> [2,3]", provider: "WebGpuExecutionProvider", calls: 1, ms: 0, share: 0 },
  ]);
  assert.equal(result.kernels, [{ op: "Add", shapes: "[2,3] [3] -> [2,3]", provider: "GPU", calls: 1, ms: 0.05, share: 0.05 }]);
});

test("doctor's report names the step, the hottest nodes and their share", async () => {
  const { context, events } = recordingContext();
  const tiny: Record<string, BenchProgram> = { tiny: { about: "a product", unit: "steps", amount: 1, start } };
  const options = { runs: 2, rows: 2, engine: { device: "cpu", precision: "single", threads: 1 } as const, context, programs: tiny };
  await reportProfile({ ...options, step: "tiny" });
  assert.equal(
    events.map(({ stage }) => stage),
    ["profile", "by op", "hottest nodes"],
  );
  const hottest = events[2];
  assert.ok(hottest?.type === "table" && hottest.rows.length === 2);
  assert.equal(Object.keys(hottest.rows[0] ?? {}), ["ms a step", "share, %", "calls", "op", "shapes", "provider"]);
  const error = await assert.rejects(reportProfile({ ...options, step: "tyni" }), 'Unknown step "tyni": did you mean "tiny"?');
  assert.is((error as Error & { exitCode: number }).exitCode, 2);
});

test.run();
