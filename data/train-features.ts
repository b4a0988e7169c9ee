/**
 * Trains the built-in feature network on the built-in pictures and writes data/demo/features.safetensors (float16).
 * Its targets are the attributes of each picture, one-hot.
 *
 *     npx tsx data/train-features.ts [STEPS] [SEED]
 */
import { mkdir, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { createEngine } from "../engine/engine.ts";
import { integers } from "../schemas/numbers/philox.ts";
import { encodeSafetensors } from "../models/weights/safetensors.ts";
import { BUILTIN_SIZE, builtinLoss, classifyBuiltin, initBuiltin } from "../models/features/builtin.ts";
import { optimiserSettings } from "../schemas/settings.ts";
import type { VariableSet } from "../engine/variables.ts";
import { createTraining } from "../models/training/training.ts";
import { attributeNames, attributeValues, combinationCount } from "./scenes/attributes.ts";
import { scenePixels } from "./scenes/draw.ts";
import { type Scene, scene } from "./scenes/scene.ts";

const [steps, seed] = [Number(process.argv[2] ?? 3000), Number(process.argv[3] ?? 1)];
const trainCount = 2 * combinationCount;
const testCount = 512;
const settings = optimiserSettings.parse({ steps, batch: 32, learningRate: 2e-3, warmup: 100, decay: 0.5, ema: 0.995 });
const { batch } = settings;
const width = attributeNames.reduce((sum, name) => sum + attributeValues[name].length, 0);
const image = BUILTIN_SIZE ** 2 * 3;

const scenes = Array.from({ length: trainCount + testCount }, (_, index) => scene({ seed, index }));
const pixels: Uint8Array[] = [];
for (const each of scenes) pixels.push(await scenePixels(each, { size: BUILTIN_SIZE }));

const engine = await createEngine({ device: "cpu" });
const inputs = { images: { shape: [batch, BUILTIN_SIZE, BUILTIN_SIZE, 3] }, targets: { shape: [batch, width] } };
const training = await createTraining({
  engine,
  name: "feature network step",
  weights: initBuiltin({ targets: width }, seed),
  inputs,
  optimiser: settings,
  loss: (parameters, { images, targets }) => ({
    loss: builtinLoss(parameters, { images: images!, targets: targets! }),
    metrics: {},
  }),
});
for (let step = 0; step < steps; step++) {
  const chosen = integers({ seed, stream: "features/batch", offset: step * batch, length: batch, below: trainCount });
  const { loss } = await training.step(step, { images: imagesOf(chosen), targets: targetsOf(chosen) });
  if (step % 100 === 0 || step === steps - 1) console.log(`step ${step} of ${steps}: loss ${loss!.toFixed(4)}`);
}

const average = training.average as VariableSet;
const classifier = await engine.compile({
  name: "classifier",
  sets: { network: average },
  inputs: { images: inputs.images },
  run: ({ network }, { images }) => ({ outputs: { logits: classifyBuiltin(network, images!) } }),
});
const correct = Object.fromEntries(attributeNames.map((name) => [name, 0]));
for (let first = trainCount; first < scenes.length; first += batch) {
  const chosen = Uint32Array.from({ length: batch }, (_, i) => first + i);
  const logits = (await classifier.run({ images: imagesOf(chosen) })).logits as Float32Array;
  const targets = targetsOf(chosen);
  for (let row = 0, at = 0; row < batch; row++) {
    for (const name of attributeNames) {
      const end = at + attributeValues[name].length;
      correct[name]! += targets[at + largest(logits.subarray(at, end))]!;
      at = end;
    }
  }
}
console.log("right on new pictures:", Object.fromEntries(attributeNames.map((name) => [name, correct[name]! / testCount])));

const path = new URL("./demo/features.safetensors", import.meta.url);
await mkdir(new URL(".", path), { recursive: true });
await writeFile(
  path,
  encodeSafetensors({
    tensors: await average.read(),
    dtype: "F16",
    metadata: { steps: `${steps}`, seed: `${seed}` },
  }),
);
console.log(`wrote ${fileURLToPath(path)}`);
await engine.dispose();

function imagesOf(chosen: Uint32Array): Float32Array {
  const images = new Float32Array(chosen.length * image);
  for (const [row, index] of chosen.entries()) images.set(pixels[index]!, row * image);
  return images;
}

function targetsOf(chosen: Uint32Array): Float32Array {
  return Float32Array.from([...chosen].flatMap((index) => oneHot(scenes[index]!)));
}

function oneHot(attributes: Scene): number[] {
  return attributeNames.flatMap((name) => attributeValues[name].map((value) => (value === attributes[name] ? 1 : 0)));
}

function largest(values: Float32Array): number {
  return values.indexOf(Math.max(...values));
}
