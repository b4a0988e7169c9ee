import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import StreamZip from "node-stream-zip";
import { sharp } from "../../schemas/sharp.ts";
import { createEngine } from "../../engine/engine.ts";
import { normals } from "../../schemas/numbers/philox.ts";
import { encodeSafetensors, readSafetensors } from "../../models/weights/safetensors.ts";
import { tf, type Tensor } from "../../engine/tfjs.ts";
import { builtinLoss, initBuiltin } from "../../models/features/builtin.ts";
import { loadFeatureNetwork } from "../../models/features/load.ts";
import { activations, mobilenetLayers } from "../../models/features/mobilenet.ts";
import type { FeatureNetwork } from "../../models/features/network.ts";
import { assert, suite } from "../harness.ts";

const test = suite("feature networks");

const shared = fileURLToPath(new URL("../../../shared/data/", import.meta.url));
const present = existsSync(join(shared, "features")) && existsSync(join(shared, "images"));
const absent = "../shared/data is absent";

async function features(network: FeatureNetwork, images: Float32Array): Promise<Float32Array> {
  const engine = await createEngine({ device: "cpu", threads: 1 });
  const { size, parameters, apply } = network;
  const program = await engine.compile({
    name: "features",
    sets: { network: engine.constants("network", parameters) },
    inputs: { images: { shape: [images.length / (size * size * 3), size, size, 3] } },
    run: ({ network: tensors }, inputs) => ({ outputs: { features: apply(tensors, inputs.images!) } }),
  });
  const result = await program.run({ images });
  await engine.dispose();
  return result.features as Float32Array;
}

/** [1, channels, height, width] to [1, height, width, channels]. */
function channelsLast({ shape, data }: { shape: number[]; data: Float32Array }): Float32Array {
  const [, channels, height, width] = shape as [number, number, number, number];
  return data.map((_, at) => data[(at % channels) * height * width + Math.floor(at / channels)]!);
}

const largest = (values: Float32Array) => values.reduce((a, b) => Math.max(a, Math.abs(b)), 0);

/** Made by vectors.py: 64 features of two pictures each. */
const vectors = JSON.parse(readFileSync(new URL("./vectors.json", import.meta.url), "utf8")) as Record<"resnet20" | "builtin", number[][]>;

/** The pictures of vectors.py: [2, size, size, 3]. */
function formulaPictures(size: number): Float32Array {
  return Float32Array.from({ length: 2 * size * size * 3 }, (_, at) => {
    const [c, x, y, i] = [at % 3, Math.floor(at / 3) % size, Math.floor(at / 3 / size) % size, Math.floor(at / 3 / size / size)];
    return (x * (7 + 3 * i) + y * (13 - 2 * i) + Math.floor((x * y * (i + 1)) / 5) + c * 41 + i * 59) % 256;
  });
}

test("the built-in network meets its vectors by PyTorch", async () => {
  const network = await loadFeatureNetwork({ path: "builtin", imageSize: 64 });
  assert.close(await features(network, formulaPictures(64)), vectors.builtin.flat(), 1e-5);
});

if (present) {
  test("ResNet-20 meets its vectors by PyTorch", async () => {
    const network = await loadFeatureNetwork({ path: "auto", imageSize: 32 });
    assert.close(await features(network, formulaPictures(32)), vectors.resnet20.flat(), 1e-5);
  });

  test("MobileNetV2 meets its parity vectors", async () => {
    const { tensors } = await readSafetensors(join(shared, "features/mobilenet-v2/parity.safetensors"));
    const network = await loadFeatureNetwork({ path: "auto", imageSize: 64 });
    const images = channelsLast(tensors.input!).map((value) => (value + 1) * 127.5);
    const pool = await features(network, images);
    assert.is(network.size, 64);
    assert.is(network.resizeFilter, "none");
    assert.is(pool.length, network.dimension);
    assert.close(pool, tensors.pool!.data, 1e-3 * largest(tensors.pool!.data));
  });

  test("MobileNetV2 meets its parity vectors half-way, on TensorFlow.js's own kernels too", async () => {
    const { tensors } = await readSafetensors(join(shared, "features/mobilenet-v2/parity.safetensors"));
    const { parameters } = await loadFeatureNetwork({ path: "auto", imageSize: 64 });
    const list = readFileSync(join(shared, "features/mobilenet-v2/mobilenet_v2_1.0_features.json"), "utf8");
    const { layers } = mobilenetLayers.parse(JSON.parse(list));
    const upTo = layers.slice(0, layers.findIndex(({ out }) => out === "add1") + 1);
    await tf.setBackend("cpu");
    const add1 = tf.tidy(() => {
      const images = tf.tensor(channelsLast(tensors.input!), [1, 64, 64, 3]).add(1).mul(127.5);
      const weights = Object.entries(parameters).map(([name, { data, shape }]) => [name, tf.tensor(data, shape)]);
      return activations(Object.fromEntries(weights), images, upTo).get("add1")!.dataSync() as Float32Array;
    });
    const expected = channelsLast(tensors.add1!);
    assert.close(add1, expected, 1e-3 * largest(expected));
  });

  test("ResNet-20 names CIFAR-10 pictures", async () => {
    const path = join(shared, "features/cifar10-resnet20/resnet20-12fca82f.safetensors");
    const network = await loadFeatureNetwork({ path, imageSize: 32 });
    const zip = new StreamZip.async({ file: join(shared, "images/cifar10-train-subset.zip") });
    const names = Object.keys(await zip.entries()).filter((name) => name.endsWith(".png"));
    const classes = [...new Set(names.map((name) => name.split("/")[0]!))].sort(); // CIFAR's numbering is alphabetical
    const chosen = classes.flatMap((label) => names.filter((name) => name.startsWith(`${label}/`)).slice(0, 5));
    const images = new Float32Array(chosen.length * 32 * 32 * 3);
    for (const [i, name] of chosen.entries()) {
      images.set(
        await sharp(await zip.entryData(name))
          .removeAlpha()
          .raw()
          .toBuffer(),
        i * 32 * 32 * 3,
      );
    }
    await zip.close();
    const found = await features(network, images);
    const { tensors } = await readSafetensors(path);
    const correct = chosen.filter((name, i) => {
      const logits = classes.map((_, label) => {
        let sum = tensors["linear.bias"]!.data[label]!;
        for (let j = 0; j < 64; j++) sum += tensors["linear.weight"]!.data[label * 64 + j]! * found[i * 64 + j]!;
        return sum;
      });
      return classes[logits.indexOf(Math.max(...logits))] === name.split("/")[0];
    });
    assert.is(classes.length, 10);
    assert.ok(correct.length >= 45, `${correct.length} of ${chosen.length} right`);
  });

  test("auto picks ResNet-20 for small pictures and MobileNetV2 at its native multiple of 32 above", async () => {
    const small = await loadFeatureNetwork({ path: "auto", imageSize: 28 });
    assert.equal([small.dimension, small.size, small.resizeFilter], [64, 32, "bicubic, antialiased (a=-0.5)"]);
    for (const [imageSize, size] of [
      [64, 64],
      [128, 128],
      [100, 96],
      [512, 224],
    ] as const) {
      assert.is((await loadFeatureNetwork({ path: "auto", imageSize })).size, size);
    }
  });
} else {
  for (const name of ["MobileNetV2 parity", "ResNet-20 on CIFAR-10", "automatic choice"]) test.skip(name, absent);
}

test("weights that are missing or of no known network are refused by name", async () => {
  const folder = await mkdtemp(join(tmpdir(), "onestep-features-"));
  try {
    const path = join(folder, "other.safetensors");
    await writeFile(path, encodeSafetensors({ tensors: { other: { shape: [1], data: Float32Array.of(1) } } }));
    await assert.rejects(loadFeatureNetwork({ path, imageSize: 64 }), /other\.safetensors: its tensors are those of no/);
    const missing = join(folder, "missing.safetensors");
    await assert.rejects(
      loadFeatureNetwork({ path: missing, imageSize: 64 }),
      /missing\.safetensors: there is no such file; set evaluate\.features/,
    );
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("the built-in network learns to name a picture's colour, and loads without its head", async () => {
  const engine = await createEngine({ device: "cpu", threads: 1 });
  const student = engine.variables("network", initBuiltin({ targets: 2 }, 1));
  const [batch, size] = [8, 16];
  // Reddish or bluish noise, one target for each.
  const images = normals({ seed: 2, stream: "colours", length: batch * size * size * 3 }).map((value, at) => {
    const red = Math.floor(at / (size * size * 3)) % 2 === 0;
    return 128 + 30 * value + ((at % 3 === 0 && red) || (at % 3 === 2 && !red) ? 60 : 0);
  });
  const targets = Float32Array.from({ length: batch * 2 }, (_, at) => ((at >> 1) % 2 === at % 2 ? 1 : 0));
  const program = await engine.compile({
    name: "step",
    sets: { student },
    inputs: { images: { shape: [batch, size, size, 3] }, targets: { shape: [batch, 2] } },
    run: ({ student: parameters }, { images: x, targets: y }) => {
      const names = Object.keys(parameters);
      const values = names.map((name) => parameters[name]!);
      const loss = () => builtinLoss(parameters, { images: x!, targets: y! }).asScalar();
      const gradients = tf.grads((..._: Tensor[]) => loss())(values);
      const updated = names.map((name, i) => [name, tf.sub(values[i]!, tf.mul(gradients[i]!, 0.3))]);
      return { outputs: { loss: loss() }, updates: { student: Object.fromEntries(updated) } };
    },
  });
  const losses: number[] = [];
  for (let step = 0; step < 20; step++) losses.push(((await program.run({ images, targets })).loss as Float32Array)[0]!);
  assert.ok(losses[0]! > 0.5 && losses.at(-1)! < 0.1, `loss went from ${losses[0]} to ${losses.at(-1)}`);

  const folder = await mkdtemp(join(tmpdir(), "onestep-features-"));
  try {
    const path = join(folder, "features.safetensors");
    await writeFile(path, encodeSafetensors({ tensors: await student.read() }));
    const network = await loadFeatureNetwork({ path, imageSize: 32 });
    assert.equal([network.dimension, network.size], [64, 64]);
    assert.not.ok(Object.keys(network.parameters).some((name) => name.startsWith("head")));
    const [a] = [await features(network, new Float32Array(2 * 64 * 64 * 3).fill(200))];
    assert.is(a!.length, 2 * 64);
    assert.close(a!.subarray(0, 64), a!.subarray(64), 1e-6);
  } finally {
    await engine.dispose();
    await rm(folder, { recursive: true });
  }
});

test.run();
