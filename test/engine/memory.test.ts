/** Running a training step over and over takes no more memory: neither TensorFlow.js's tensors nor the process's. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { createEngine } from "../../engine/engine.ts";
import { ort } from "../../engine/session.ts";
import { tf } from "../../engine/tfjs.ts";
import { ditStep } from "../../stages/bench/programs.ts";
import { residentGrowth } from "../bench/resident.ts";
import { assert, suite } from "../harness.ts";

const test = suite("memory");

setFlagsFromString("--expose-gc"); // residentGrowth collects before it looks
globalThis.gc = runInNewContext("gc");

test("1,600 steps: resident memory does not grow", async () => {
  const engine = await createEngine({ device: "cpu", threads: 1, cache: false });
  const step = await ditStep(engine, { depth: 1, batch: 2, width: 32 });
  const { numTensors } = tf.memory();
  const { slope } = await residentGrowth({ steps: 1600, warmup: 400, run: step });
  assert.is(tf.memory().numTensors, numTensors);
  // A leaked set of this network's variables is 150 kB a step; memory going back to the system is about -9 kB.
  assert.ok(slope < 4000, `${slope.toFixed(0)} bytes a step`);
  await engine.dispose();
});

test("a step makes tensors over the buffers it has, and copies none", async () => {
  const engine = await createEngine({ device: "cpu", threads: 1, cache: false });
  const set = engine.variables("set", { a: { shape: [1000], data: new Float32Array(1000) } });
  const program = await engine.compile({
    name: "adding",
    sets: { set },
    inputs: { x: { shape: [1000] } },
    run: ({ set: { a } }, { x }) => ({ outputs: {}, updates: { set: { a: tf.add(a!, x!) } } }),
  });
  const seen = new Set<unknown>();
  const x = new Float32Array(1000).fill(1);
  const { prototype } = ort.InferenceSession as unknown as { prototype: ort.InferenceSession };
  const inner = prototype.run;
  try {
    prototype.run = function (this: ort.InferenceSession, feeds: ort.InferenceSession.FeedsType, fetches: never) {
      for (const tensor of [...Object.values(feeds), ...Object.values(fetches as object)]) seen.add((tensor as ort.Tensor).data);
      return inner.call(this, feeds, fetches);
    } as typeof inner;
    for (let i = 0; i < 6; i++) await program.run({ x });
  } finally {
    prototype.run = inner;
  }
  assert.ok(seen.has(x), "the input itself");
  assert.is(seen.size, 3, "the input and the variable's two buffers");
  assert.ok((await set.read()).a?.data.every((value) => value === 6));
  await engine.dispose();
});

test.run();
