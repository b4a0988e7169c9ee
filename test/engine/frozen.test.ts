/** Frozen weights in files: the same results as baked ones, mapped and not copied, let go at the end. */
import {
  closeSync,
  existsSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createEngine, type Engine, type EngineOptions } from "../../engine/engine.ts";
import { tf, type Tensor } from "../../engine/tfjs.ts";
import { type FrozenWeights, inMemory, type Weights } from "../../engine/weights.ts";
import { openSafetensors } from "../../models/weights/open.ts";
import { encodeSafetensors } from "../../models/weights/safetensors.ts";
import { normals } from "../../schemas/numbers/philox.ts";
import { assert, suite } from "../harness.ts";

const test = suite("frozen weights");
const folder = mkdtempSync(join(tmpdir(), "onestep-frozen-"));
test.after(() => rmSync(folder, { recursive: true, force: true }));

const tensor = (name: string, shape: number[], std: number): Weights[string] => {
  const data = normals({ seed: 1, stream: name, length: shape.reduce((a, b) => a * b, 1) });
  return { shape, data: data.map((value) => value * std) };
};
/** A convolution of the kind that Winograd's algorithm is for, one of another kind, a product with few rows, and small tensors. */
const weights: Weights = {
  "conv.kernel": tensor("conv", [3, 3, 32, 48], 0.06),
  "conv.bias": tensor("bias", [48], 1),
  "down.kernel": tensor("down", [3, 3, 48, 24], 0.05),
  "out.kernel": tensor("out", [4 * 4 * 24, 160], 0.05),
};
const x = normals({ seed: 1, stream: "x", length: 2 * 8 * 8 * 32 });
/** Enough to make a model that the cache keeps. */
const many = normals({ seed: 1, stream: "many", length: 20_000 });

/** Runs the network on an engine of its own. */
async function outputOf(frozen: FrozenWeights, options: EngineOptions = {}): Promise<Float32Array> {
  const engine = await createEngine({ device: "cpu", threads: 1, cache: false, ...options });
  try {
    const program = await compileNetwork(engine, frozen);
    const { y } = await program.run({ x });
    assert.equal((await program.run({ x })).y, y, "again");
    return y as Float32Array;
  } finally {
    await engine.dispose();
  }
}

const compileNetwork = (engine: Engine, frozen: FrozenWeights) =>
  engine.compile({
    name: "network",
    sets: { network: engine.constants("network", frozen) },
    inputs: { x: { shape: [2, 8, 8, 32] } },
    run: ({ network }, { x }) => {
      const [kernel, bias, down, out] = ["conv.kernel", "conv.bias", "down.kernel", "out.kernel"].map((name) => network[name] as Tensor);
      const first = tf.add(tf.conv2d(x as never, kernel as never, 1, "same"), bias as Tensor);
      const second = tf.conv2d(tf.relu(first) as never, down as never, 2, "same");
      const product = tf.matMul(tf.reshape(second, [2, -1]) as Tensor, out as Tensor);
      return { outputs: { y: tf.add(product, tf.mean(tf.tensor(many))) } };
    },
  });

async function opened(name: string, tensors: Weights, dtype?: "F32" | "F16"): Promise<FrozenWeights> {
  const path = join(folder, name);
  writeFileSync(path, encodeSafetensors({ tensors, dtype }));
  return (await openSafetensors(path)).tensors;
}

/** The weights as bfloat16, by cutting off the lower half of each: a file made by hand, whose data starts at an odd byte. */
async function inBfloat16(): Promise<FrozenWeights> {
  let end = 0;
  const entries = Object.entries(weights).map(([name, { shape, data }]) => [
    name,
    { dtype: "BF16", shape, data_offsets: [end, (end += 2 * data.length)] },
  ]);
  const json = JSON.stringify(Object.fromEntries(entries));
  const header = Buffer.from(json.length % 2 ? json : `${json} `);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  const halves = Object.values(weights).map(({ data }) =>
    Buffer.from(Uint16Array.from(new Uint32Array(data.buffer), (bits) => bits >>> 16).buffer),
  );
  const path = join(folder, "bfloat16.safetensors");
  writeFileSync(path, Buffer.concat([length, header, ...halves]));
  return (await openSafetensors(path)).tensors;
}

const largest = (values: Float32Array): number => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);

/**
 * Weights outside of the model give the bits of each other. Baked ones may have other last bits: ONNX Runtime packs them
 * and folds kernels beforehand, and small images' convolutions take another form where a kernel is not folded.
 */
test("weights in a file, F32, F16 or BF16, give the bits of inputs and the values of baked ones to 1e-6", async () => {
  const files = {
    F32: await opened("single.safetensors", weights),
    F16: await opened("half.safetensors", weights, "F16"),
    BF16: await inBfloat16(),
  };
  for (const [dtype, frozen] of Object.entries(files)) {
    const values = await inMemory(frozen);
    const baked = await outputOf(values);
    const mapped = await outputOf(frozen, { bakedBytes: 0 });
    assert.equal(mapped, await outputOf(values, { bakedBytes: 0 }), `${dtype}: inputs`);
    assert.close(mapped, baked, 1e-6 * largest(baked), `${dtype}: baked`);
    assert.equal(await outputOf(frozen), baked, `${dtype}: a small set is read and baked`);
  }
});

test("the device eager reads them", async () => {
  const frozen = await opened("eager.safetensors", weights, "F16");
  const [eager, baked] = [await outputOf(frozen, { device: "eager" }), await outputOf(frozen)];
  assert.close(eager, baked, 1e-5 * largest(baked));
});

test("files of several folders serve one program, and no graph of them is kept", async () => {
  const cache = join(folder, "cache");
  mkdirSync(join(folder, "a/deeper"), { recursive: true });
  const { "conv.kernel": kernel, ...rest } = weights;
  const frozen = { ...(await opened("a/deeper/one.safetensors", { "conv.kernel": kernel! })), ...(await opened("two.safetensors", rest)) };
  const before = await outputOf(frozen, { bakedBytes: 0, cache });
  assert.equal(before, await outputOf(weights, { bakedBytes: 0 }));
  const changed = { ...rest, "out.kernel": tensor("another", [384, 160], 0.05) };
  const other = { ...frozen, ...(await opened("two.safetensors", changed)) };
  assert.equal(
    await outputOf(other, { bakedBytes: 0, cache }),
    await outputOf({ ...weights, ...changed }, { bakedBytes: 0 }),
    "the file's new weights",
  );
  assert.not.equal(await outputOf(other, { bakedBytes: 0 }), before);
  assert.not(existsSync(cache), "nothing was kept");
  await outputOf(weights, { cache });
  assert.is(readdirSync(cache).length, 1, "one of the baked is");
});

test("a file that was cut since, or is gone, is refused", async () => {
  const frozen = await opened("cut.safetensors", weights);
  truncateSync(join(folder, "cut.safetensors"), 5000);
  for (const bakedBytes of [0, 1e9]) {
    await assert.rejects(outputOf(frozen, { bakedBytes }), /cut\.safetensors: it has changed since it was opened/);
  }
  rmSync(join(folder, "cut.safetensors"));
  await assert.rejects(outputOf(frozen, { bakedBytes: 0 }), /cut\.safetensors: it was removed since it was opened/);
});

test("a program that would take more memory than there is says how much, before the work", async () => {
  const frozen = await opened("much.safetensors", weights, "F16");
  const bytes = 2 * (9 * 32 * 48 + 9 * 48 * 24 + 384 * 160); // what is mapped of it
  const error = (await assert.rejects(outputOf(frozen, { bakedBytes: 0, memoryBytes: bytes }))) as Error;
  assert.match(error.message, /^Cannot compile program "network": it would take about \d+\.\d GB of memory, .* available\. Free some/);
  await outputOf(frozen, { memoryBytes: bytes }); // baked
  await outputOf(frozen, { bakedBytes: 0, memoryBytes: 10 * bytes });
});

const status = (field: string): number =>
  Number(new RegExp(`${field}:\\s+(\\d+)`).exec(readFileSync("/proc/self/status", "utf8"))?.[1]) / 1024;
const maps = (path: string): number => readFileSync("/proc/self/maps", "utf8").split(path).length - 1;

if (process.platform === "linux") {
  test("sessions map a large file, hold no copy of it, and let it go", async () => {
    const path = join(folder, "large.safetensors");
    const side = 6144; // 151 MB, of holes
    const header = Buffer.from(JSON.stringify({ w: { dtype: "F32", shape: [side, side], data_offsets: [0, 4 * side * side] } }));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(header.length));
    const handle = openSync(path, "w");
    writeSync(handle, Buffer.concat([length, header]));
    ftruncateSync(handle, 8 + header.length + 4 * side * side);
    writeSync(handle, new Uint8Array(Float32Array.of(2).buffer), 0, 4, 8 + header.length);
    closeSync(handle);
    const engine = await createEngine({ device: "cpu", threads: 1 });
    const set = engine.constants("large", (await openSafetensors(path)).tensors);
    const start = status("RssAnon");
    for (const name of ["one", "two"]) {
      const program = await engine.compile({
        name,
        sets: { set },
        inputs: { x: { shape: [32, side] } },
        run: ({ set }, { x }) => ({ outputs: { y: tf.matMul(x as Tensor, set.w as Tensor) } }),
      });
      const { y } = await program.run({ x: new Float32Array(32 * side).fill(1) });
      assert.equal([y?.[0], y?.[1]], [2, 0]);
    }
    const grown = status("RssAnon") - start;
    assert.ok(grown < 75, `two sessions took ${grown.toFixed(0)} MiB beside the 144 they share`);
    assert.ok(maps(path) > 0, "mapped");
    await engine.dispose();
    assert.is(maps(path), 0, "let go");
  });
} else {
  test.skip("sessions map a large file, hold no copy of it, and let it go", "it reads /proc");
}

test.run();
