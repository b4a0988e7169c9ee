/** Gradient checkpointing: less memory, and not a bit of the result is another. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { createEngine } from "../../engine/engine.ts";
import type { InputArray, ProgramSpec } from "../../engine/program.ts";
import { tf, type Tensor } from "../../engine/tfjs.ts";
import type { Weights } from "../../engine/weights.ts";
import { dit } from "../../models/families/dit.ts";
import { unet } from "../../models/families/unet.ts";
import type { Parameters } from "../../models/layers.ts";
import { piecewiseAttention } from "../../models/published/layers.ts";
import { fromChannelsFirst } from "../../models/published/torch.ts";
import { createTraining } from "../../models/training/training.ts";
import { type OptimiserSettings, optimiserSettings } from "../../schemas/settings.ts";
import { normals } from "../../schemas/numbers/philox.ts";
import { readGolden } from "../../stages/published/golden.ts";
import { readPart } from "../../stages/published/part.ts";
import { assert, suite } from "../harness.ts";
import { perturbed } from "../models/parameters.ts";
import { pipelines } from "../published/golden.ts";

const test = suite("gradient checkpointing");

interface Case {
  weights: Weights;
  inputs: ProgramSpec["inputs"];
  feeds: Record<string, InputArray>;
  loss: (parameters: Parameters, inputs: Record<string, Tensor>) => Tensor;
  settings?: Partial<OptimiserSettings>;
}

/** All that two steps leave, and what they answer. */
async function trained({ weights, inputs, feeds, loss, settings = {} }: Case, checkpointing: boolean) {
  const engine = await createEngine({ device: "cpu", threads: 1, cache: false });
  const optimiser = optimiserSettings.parse({ steps: 2, batch: 2, learningRate: 1e-3, warmup: 1, ...settings });
  const training = await createTraining({
    ...{ engine, name: "step", weights, inputs, optimiser, checkpointing },
    loss: (parameters, given) => ({ loss: loss(parameters, given), metrics: {} }),
  });
  const figures = [await training.step(0, feeds), await training.step(1, feeds)];
  const state = await training.save();
  await engine.dispose();
  return { figures, state };
}

/** Fails unless the network has changed, and everything is the same with and without. */
async function holdToBits(asked: Case): Promise<void> {
  const [plain, again] = [await trained(asked, false), await trained(asked, true)];
  assert.equal(again.figures, plain.figures);
  assert.ok(plain.figures.every(({ norm }) => Number.isFinite(norm) && (norm as number) > 0));
  for (const [set, weights] of Object.entries(plain.state)) {
    for (const [name, { data }] of Object.entries(weights)) {
      const other = again.state[set]?.[name]?.data as Float32Array;
      assert.ok(Buffer.from(data.buffer).equals(Buffer.from(other.buffer)), `${set}/${name}`);
    }
  }
  const [[name, { data }]] = Object.entries(asked.weights) as [[string, Weights[string]]];
  assert.ok(data.some((value, i) => value !== plain.state.network?.[name]?.data[i]), "it was trained");
}

const meanSquare = (x: Tensor): Tensor => tf.mean(tf.square(x));
const filled = (stream: string, shape: readonly number[]): Float32Array =>
  normals({ seed: 3, stream, length: shape.reduce((a, b) => a * b, 1) });

const BATCH = 2;
const ditConfig = { shape: [8, 8, 3], patch: 2, width: 16, depth: 3, heads: 2 } as const;
const unetConfig = { shape: [8, 8, 3], width: 16, multipliers: [1, 2], depth: 1, attentionLevels: [1], heads: 2, conditional: false } as const;
const shape = [BATCH, 8, 8, 3];
type Apply = (parameters: Parameters, x: Tensor, noiseLevel: Tensor) => Tensor;
const own: Record<string, { weights: Weights; apply: Apply }> = {
  dit: {
    weights: perturbed(dit.init(ditConfig, 0), 0.05),
    apply: (parameters, x, noiseLevel) => dit.apply(ditConfig, parameters, { x, noiseLevel }),
  },
  unet: {
    weights: perturbed(unet.init(unetConfig, 0), 0.05),
    apply: (parameters, x, noiseLevel) => unet.apply(unetConfig, parameters, { x, noiseLevel }),
  },
};

for (const [name, { weights, apply }] of Object.entries(own)) {
  const inputs = { x: { shape }, noiseLevel: { shape: [BATCH] } };
  const feeds = { x: filled("x", shape), noiseLevel: filled("noise", [BATCH]) };
  const losses: Record<string, Case["loss"]> = {
    "a first-order loss": (parameters, { x, noiseLevel }) => meanSquare(tf.sub(apply(parameters, x!, noiseLevel!), x!)),
    // R1 (Mescheder et al. 2018): the squared gradient of the network's answer by its input, whose own gradient is of second order.
    "an R1 penalty": (parameters, { x, noiseLevel }) => {
      const answer = (given: Tensor): Tensor => tf.sum(tf.square(apply(parameters, given, noiseLevel!)));
      const { value, grad } = tf.valueAndGrad(answer as never)(x!);
      return tf.add(tf.mul(value as Tensor, 0.1), meanSquare(grad));
    },
  };
  for (const [what, loss] of Object.entries(losses)) {
    test(`${name}, ${what}: the same bits`, () => holdToBits({ weights, inputs, feeds, loss }));
  }
  test(`${name} in micro-batches: the same bits`, () =>
    holdToBits({ weights, inputs, feeds, loss: losses["a first-order loss"]!, settings: { accumulate: 2 } }));
}

test("attention in pieces: the same bits", () => {
  const sides = { q: [1, 12, 8], k: [1, 10, 8], v: [1, 10, 8] };
  const weights = Object.fromEntries(Object.entries(sides).map(([name, side]) => [name, { shape: side, data: filled(name, side) }]));
  const loss: Case["loss"] = ({ q, k, v }) => meanSquare(piecewiseAttention({ q: q!, k: k!, v: v!, heads: 2 }, 60));
  return holdToBits({ weights, inputs: {}, feeds: {}, loss });
});

/** By pipeline: the part that denoises, as its golden forward is called. */
const published = { ddpm: "unet", dit: "transformer", edm: "network", sd15: "unet", sdxl: "unet", pixart: "transformer", sd3: "transformer", flux: "transformer" };

for (const [pipeline, name] of Object.entries(published)) {
  const folder = join(pipelines, pipeline);
  if (!existsSync(folder)) test.skip(`${pipeline}: the same bits`, `there is no ${folder}`);
  else test(`${pipeline}: the same bits`, async () => holdToBits(await publishedCase(folder, name)));
}

async function publishedCase(folder: string, name: string): Promise<Case> {
  const { golden, tensors } = await readGolden(join(folder, "golden.safetensors"));
  const { network, weights } = await readPart(existsSync(join(folder, name)) ? join(folder, name) : folder);
  const given = Object.entries(golden.forwards.find((forward) => forward.name === name)!.inputs).map(([input, key]) => {
    const tensor = tensors[key]!;
    const own = tensor.shape.length === 4 ? fromChannelsFirst(tensor) : tensor;
    return [input, { ...own, isWhole: /^[IU]\d+$/.test(tensor.dtype) }] as const;
  });
  return {
    weights,
    inputs: Object.fromEntries(given.map(([input, { shape, isWhole }]) => [input, { shape, dtype: isWhole ? "int32" : "float32" }] as const)),
    feeds: Object.fromEntries(given.map(([input, { data, isWhole }]) => [input, isWhole ? Int32Array.from(data) : data] as const)),
    loss: (parameters, inputs) => meanSquare(Object.values(network.forward(parameters, inputs, network.calls[0] ?? ""))[0]!),
  };
}

test.run();
