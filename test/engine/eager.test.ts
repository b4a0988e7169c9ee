/** Running programs as they are written: on the tfjs CPU backend, on a stand-in for TensorFlow's, and beside a compiled engine. */
import { createEngine, type Engine } from "../../engine/engine.ts";
import { builtTensorflow, tfjsNodeFolder } from "../../engine/tensorflow.ts";
import { tf, type Tensor, type KernelBackend } from "../../engine/tfjs.ts";
import { ditStep } from "../../stages/bench/programs.ts";
import { assert, suite } from "../harness.ts";

const test = suite("eager");
const isBuilt = builtTensorflow() !== undefined && tfjsNodeFolder() !== undefined;
const hasTensorflow =
  isBuilt ||
  (await import("@tensorflow/tfjs-node" as string).then(
    () => true,
    () => false,
  ));
if (!hasTensorflow) process.env.ONESTEP_TENSORFLOW = "nowhere"; // a build without its package says something else

test("device tensorflow says what to install where it is absent", async () => {
  if (!hasTensorflow)
    await assert.rejects(createEngine({ device: "tensorflow" }), /tfjs-node-gpu.*tfjs-node.*npm install --save-prod .*tfjs-node/);
});

/** The tfjs CPU backend under the name that tfjs-node registers, with a count of what is written to it. */
let uploads = 0;
function registerStandIn(): void {
  const cpu = tf.findBackendFactory("cpu")() as KernelBackend;
  const write = cpu.write.bind(cpu);
  cpu.write = (values, shape, dtype) => {
    uploads++;
    return write(values, shape, dtype);
  };
  tf.copyRegisteredKernels("cpu", "tensorflow");
  tf.registerBackend("tensorflow", () => cpu);
}

/** Momentum on the mean of squares of a - x. */
const descent = (engine: Engine, set: ReturnType<Engine["variables"]>, compile: "compile" | "eager" = "compile") =>
  engine[compile]({
    name: "descent",
    sets: { set, frozen: engine.constants("frozen", { rate: { shape: [], data: Float32Array.of(0.1) } }) },
    inputs: { x: { shape: [4] } },
    run: ({ set: { a, velocity }, frozen }, { x }) => {
      const { value, grad } = tf.valueAndGrad((t: Tensor) => tf.mean(tf.square(tf.sub(t, x as Tensor))))(a as Tensor);
      const next = tf.add(tf.mul(velocity as Tensor, 0.5), grad);
      return {
        outputs: { loss: value, again: value, before: a as Tensor },
        updates: { set: { velocity: next, a: tf.sub(a as Tensor, tf.mul(next, frozen.rate as Tensor)) } },
      };
    },
  });
const start = () => ({ a: { shape: [4], data: Float32Array.of(1, 2, 3, 4) }, velocity: { shape: [4], data: new Float32Array(4) } });
const feeds = { x: Float32Array.of(0, 1, 0, 1) };

test("the stand-in for TensorFlow follows the compiled program, its variables stay there", async () => {
  if (!hasTensorflow) registerStandIn();
  const [ours, cpu] = [await createEngine({ device: "tensorflow" }), await createEngine({ device: "cpu", threads: 1 })];
  const [set, reference] = [ours.variables("set", start()), cpu.variables("set", start())];
  const [mine, theirs] = [await descent(ours, set), await descent(cpu, reference)];
  const written: number[] = [];
  const counts: number[] = [];
  for (let step = 0; step < 8; step++) {
    const before = uploads;
    const [found, expected] = [await mine.run(feeds), await theirs.run(feeds)];
    written.push(uploads - before);
    counts.push(tf.memory().numTensors);
    for (const name of ["loss", "again", "before"]) assert.close(found[name]!, expected[name]!, 1e-6, name);
  }
  assert.is(tf.getBackend(), "tensorflow");
  assert.equal(new Set(counts.slice(1)).size, 1, `tensors after each step: ${counts}`);
  if (!hasTensorflow) {
    assert.equal(new Set(written.slice(1)).size, 1, `uploads of each step: ${written}`);
    // The first step uploads the two variables besides what every step does.
    assert.is((written[0] as number) - (written[1] as number), 2);
  }
  const [end, expected] = [await set.read(), await reference.read()];
  assert.close(end.a!.data, expected.a!.data, 1e-6);
  await set.load(start());
  assert.equal(await set.read(), start());
  assert.equal(await mine.run(feeds, { outputs: ["loss"] }), { loss: Float32Array.of(5) });
  await ours.dispose();
  await cpu.dispose();
});

test("a network's training step holds on to no tensors, and dispose frees the variables", async () => {
  const before = tf.memory().numTensors;
  const engine = await createEngine({ device: "eager" });
  const step = await ditStep(engine, { depth: 1, batch: 2, width: 16 });
  const counts: number[] = [];
  for (let i = 0; i < 4; i++) {
    await step(i);
    counts.push(tf.memory().numTensors);
  }
  assert.equal(new Set(counts).size, 1, `tensors after each step: ${counts}`);
  await engine.dispose();
  assert.is(tf.memory().numTensors, before);
});

test("engine.eager runs a program over the compiled engine's own variables, with values to look at", async () => {
  const engine = await createEngine({ device: "cpu", threads: 1 });
  const set = engine.variables("set", start());
  const [compiled, eager] = [await descent(engine, set), await descent(engine, set, "eager")];
  const first = await compiled.run(feeds);
  const second = await eager.run(feeds);
  const third = await compiled.run(feeds);
  assert.ok((second.loss![0] as number) < (first.loss![0] as number) && (third.loss![0] as number) < (second.loss![0] as number));
  const reference = engine.variables("reference", start());
  const alone = await descent(engine, reference);
  for (const expected of [await alone.run(feeds), await alone.run(feeds), await alone.run(feeds)].slice(2)) {
    assert.close(third.loss!, expected.loss!, 1e-6);
  }
  const seen: number[] = [];
  const looking = engine.eager({
    name: "looking",
    sets: { set },
    inputs: {},
    run: ({ set: { a } }) => {
      seen.push(...(a as Tensor).dataSync());
      return { outputs: { sum: tf.sum(a as Tensor) } };
    },
  });
  await looking.run({});
  assert.equal(seen, [...(await set.read()).a!.data]);
  await engine.dispose();
});

test("variables of another engine's device, wrong inputs and unknown outputs are refused by name", async () => {
  const [eager, cpu] = [await createEngine({ device: "eager" }), await createEngine({ device: "cpu", threads: 1 })];
  await assert.rejects(async () => descent(cpu, eager.variables("set", start())), /"descent".*"cpu".*"set".*"eager".*read and load/);
  const program = await descent(cpu, cpu.variables("set", start()));
  await assert.rejects(program.run({ x: new Int32Array(4) }), /"descent".*"x".*float32.*Int32Array.*Float32Array/);
  await assert.rejects(program.run(feeds, { outputs: ["gain"] }), /"descent".*no output "gain".*loss, again, before/);
  await assert.rejects(
    async () =>
      cpu.compile({
        name: "doubles",
        sets: {},
        inputs: { x: { shape: [2], dtype: "float64" as "float32" } },
        run: (_, { x }) => ({ outputs: { x: x as Tensor } }),
      }),
    /"doubles".*"x".*"float64".*float32 or int32/,
  );
  await eager.dispose();
  await cpu.dispose();
});

test("devices that are absent say what they need", async () => {
  await createEngine({ device: "cuda" }).then(
    (engine) => engine.dispose(),
    (error: Error) => assert.match(error.message, /device "cuda".*NVIDIA driver.*doctor --build-cuda/),
  );
});

test.run();
