/** The engine's contract: variables, inputs, errors, determinism, memory. */
import { createEngine, type Engine } from "../../engine/engine.ts";
import { tf, type Tensor, type Tensor1D, type Tensor4D } from "../../engine/tfjs.ts";
import { copyWeights } from "../../engine/weights.ts";
import { assert, suite } from "../harness.ts";
import { ditStep } from "../../stages/bench/programs.ts";
import { sample } from "./parity.ts";

const test = suite("engine");

async function using<T>(options: Parameters<typeof createEngine>[0], body: (engine: Engine) => Promise<T>): Promise<T> {
  const engine = await createEngine(options);
  try {
    return await body(engine);
  } finally {
    await engine.dispose();
  }
}
const CPU = { device: "cpu", threads: 1 } as const;
const weights = () => ({ a: { shape: [2], data: Float32Array.of(1, 2) }, b: { shape: [], data: Float32Array.of(5) } });

/** Adds x to a and leaves b alone. */
const adding = (engine: Engine, set: ReturnType<Engine["variables"]>) =>
  engine.compile({
    name: "adding",
    sets: { set },
    inputs: { x: { shape: [2] }, unused: { shape: [3] } },
    run: ({ set: { a, b } }, { x }) => ({
      outputs: { sum: tf.sum(tf.mul(a as Tensor, b as Tensor)) },
      updates: { set: { a: tf.add(a as Tensor, x as Tensor) } },
    }),
  });

for (const device of ["cpu", "eager"] as const) {
  test(`${device}: updates are seen by the next run and by another program, read and load copy`, () =>
    using({ device, threads: 1 }, async (engine) => {
      const start = weights();
      const set = engine.variables("set", start);
      const program = await adding(engine, set);
      const reader = await engine.compile({
        name: "reader",
        sets: { set },
        inputs: {},
        run: ({ set: { a } }) => ({ outputs: { twice: tf.mul(a as Tensor, 2) } }),
      });
      const feeds = { x: Float32Array.of(10, 20), unused: new Float32Array(3) };
      assert.equal((await program.run(feeds)).sum, Float32Array.of(15));
      const between = await set.read();
      assert.equal(between.a?.data, Float32Array.of(11, 22));
      assert.equal((await program.run(feeds)).sum, Float32Array.of(165));
      assert.equal((await reader.run({})).twice, Float32Array.of(42, 84));
      assert.equal(between.a?.data, Float32Array.of(11, 22), "what was read does not change");
      assert.equal(start, weights(), "the weights given are not written to");
      await set.load(copyWeights(between));
      assert.equal((await program.run(feeds)).sum, Float32Array.of(165));
    }));
}

test("frozen weights, integer inputs and an output that is an input", () =>
  using(CPU, async (engine) => {
    const frozen = engine.constants("frozen", { table: { shape: [3, 2], data: Float32Array.of(1, 2, 3, 4, 5, 6) } });
    const program = await engine.compile({
      name: "lookup",
      sets: { frozen },
      inputs: { label: { shape: [2], dtype: "int32" } },
      run: (sets, { label }) => ({
        outputs: { rows: tf.gather(sets.frozen.table as Tensor, label as Tensor1D), label: label as Tensor },
      }),
    });
    const { rows, label } = await program.run({ label: Int32Array.of(2, 0) });
    assert.equal(rows, Float32Array.of(5, 6, 1, 2));
    assert.equal(label, Int32Array.of(2, 0));
  }));

test("inputs that are missing or of another length are named", () =>
  using(CPU, async (engine) => {
    const program = await adding(engine, engine.variables("set", weights()));
    await assert.rejects(program.run({}), /"adding".*"x".*\[2\].*missing/);
    await assert.rejects(program.run({ x: new Float32Array(3) }), /"adding".*"x".*\[2\].*3 elements/);
  }));

test("loading the wrong variables is refused by name", () =>
  using(CPU, async (engine) => {
    const set = engine.variables("set", weights());
    const { a, b } = weights();
    await assert.rejects(set.load({ a }), /"set".*"b" is missing/);
    await assert.rejects(set.load({ a: { shape: [3], data: new Float32Array(3) }, b }), /"set": "a" is \[3\] instead of \[2\]/);
  }));

/** Compiles a body of one input x [2, 2]. */
const compile = (engine: Engine, run: (x: Tensor) => Tensor) =>
  engine.compile({ name: "tried", sets: {}, inputs: { x: { shape: [2, 2] } }, run: (_, { x }) => ({ outputs: { y: run(x as Tensor) } }) });

test("what cannot be compiled says what it is and what to do", () =>
  using(CPU, async (engine) => {
    const wrong = (updates: Record<string, Tensor>) => ({ outputs: {}, updates: { set: updates } });
    const sets = { set: engine.variables("set", weights()) };
    const updating = (key: string, shape: number[]) =>
      engine.compile({ name: "tried", sets, inputs: {}, run: () => wrong({ [key]: tf.ones(shape) }) });
    await assert.rejects(updating("c", [2]), /"tried".*"set\/c".*not a variable/);
    await assert.rejects(updating("a", [3]), /"tried".*"set\/a".*\[2\].*\[3\]/);
    const after = await compile(engine, (x) => tf.add(x, 1)); // a failed trace leaves nothing behind
    assert.equal((await after.run({ x: new Float32Array(4) })).y, Float32Array.of(1, 1, 1, 1));
  }));

test("the same bits in every run and for any number of threads", async () => {
  const steps = async (threads: number): Promise<number[]> =>
    using({ device: "cpu", threads }, async (engine) => {
      const step = await ditStep(engine, { depth: 1, batch: 8 });
      const seen: number[] = [];
      for (let i = 0; i < 4; i++) seen.push(...Object.values(await step(i)));
      return seen;
    });
  const first = await steps(1);
  assert.ok(first.every(Number.isFinite));
  assert.equal(await steps(1), first);
  assert.equal(await steps(2), first);
  assert.equal(await steps(3), first);
});

test("products of few rows and convolutions of one image do not depend on the threads", async () => {
  const outcomes = [];
  for (const threads of [1, 2, 4]) {
    const outputs = await using({ device: "cpu", threads }, async (engine) => {
      const program = await engine.compile({
        name: "narrow",
        sets: {},
        inputs: { x: { shape: [8, 512] }, w: { shape: [512, 128] }, image: { shape: [1, 16, 16, 64] }, kernel: { shape: [3, 3, 64, 64] } },
        run: (_, { x, w, image, kernel }) => {
          const conv = (t: Tensor): Tensor => tf.conv2d(t as Tensor4D, kernel as Tensor4D, 1, "same");
          const energy = (t: Tensor): Tensor => tf.sum(tf.square(conv(t)));
          const product = tf.matMul(x as Tensor, w as Tensor);
          return { outputs: { product, back: tf.matMul(product, w as Tensor, false, true), gradient: tf.grad(energy)(image as Tensor) } };
        },
      });
      const shapes = { x: [8, 512], w: [512, 128], image: [1, 16, 16, 64], kernel: [3, 3, 64, 64] };
      return program.run(Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [name, sample(name, shape)])));
    });
    outcomes.push(Object.fromEntries(Object.entries(outputs).map(([name, values]) => [name, Float32Array.from(values)])));
  }
  for (const name of ["product", "back", "gradient"]) {
    assert.equal(outcomes[1]?.[name], outcomes[0]?.[name], `${name}, 2 threads`);
    assert.equal(outcomes[2]?.[name], outcomes[0]?.[name], `${name}, 4 threads`);
  }
});

test("running holds on to no tensors, tracing to no more than its constants", () =>
  using(CPU, async (engine) => {
    const body = (x: Tensor): Tensor => tf.softmax(tf.tanh(tf.matMul(x, x)));
    const run = async (device: Engine): Promise<void> => {
      const program = await compile(device, body);
      for (let i = 0; i < 3; i++) await program.run({ x: sample("x", [2, 2]) });
    };
    await using({ device: "eager" }, async (eager) => {
      await run(eager);
      await run(engine);
      const { numTensors } = tf.memory();
      for (let i = 0; i < 5; i++) await run(eager);
      assert.is(tf.memory().numTensors, numTensors, "eager runs");
      for (let i = 0; i < 5; i++) await run(engine);
      assert.is(tf.memory().numTensors, numTensors, "traces");
    });
  }));

test.run();
