/** Gradient checkpointing: less memory, and not a bit of the result is another. */
import { createPlanner } from "../../engine/planner.ts";
import { tf, type Tensor } from "../../engine/tfjs.ts";
import type { Weights } from "../../engine/weights.ts";
import { dit } from "../../models/families/dit.ts";
import { unet } from "../../models/families/unet.ts";
import type { Parameters } from "../../models/layers.ts";
import { piecewiseAttention } from "../../models/published/layers.ts";
import { compileStep } from "../../models/training/step.ts";
import { createTrained } from "../../models/training/trained.ts";
import { normals } from "../../schemas/numbers/philox.ts";
import { optimiserSettings } from "../../schemas/settings.ts";
import { assert, suite } from "../harness.ts";
import { perturbed } from "../models/parameters.ts";
import { type Case, holdToBits, LIMIT, meanSquare } from "./checkpointing.ts";

const test = suite("gradient checkpointing");

const filled = (stream: string, shape: readonly number[]): Float32Array =>
  normals({ seed: 3, stream, length: shape.reduce((a, b) => a * b, 1) });

const BATCH = 2;
const ditConfig = { shape: [8, 8, 3], patch: 2, width: 16, depth: 2, heads: 2 } as const;
const unetConfig = {
  shape: [8, 8, 3],
  width: 16,
  multipliers: [1, 2],
  depth: 1,
  attentionLevels: [1],
  heads: 2,
  conditional: false,
} as const;
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
    test(`${name}, ${what}: the same bits`, () => holdToBits({ weights, inputs, feeds, loss }), LIMIT);
  }
}

test(
  "a DiT in micro-batches: the same bits",
  () => {
    const { weights, apply } = own.dit!;
    const loss: Case["loss"] = (parameters, { x, noiseLevel }) => meanSquare(apply(parameters, x!, noiseLevel!));
    const inputs = { x: { shape }, noiseLevel: { shape: [BATCH] } };
    const feeds = { x: filled("x", shape), noiseLevel: filled("noise", [BATCH]) };
    return holdToBits({ weights, inputs, feeds, loss, settings: { accumulate: 2 } });
  },
  LIMIT,
);

test(
  "attention in pieces: the same bits",
  () => {
    const sides = { q: [1, 12, 8], k: [1, 10, 8], v: [1, 10, 8] };
    const weights = Object.fromEntries(Object.entries(sides).map(([name, side]) => [name, { shape: side, data: filled(name, side) }]));
    const loss: Case["loss"] = ({ q, k, v }) => meanSquare(piecewiseAttention({ q: q!, k: k!, v: v!, heads: 2 }, 60));
    return holdToBits({ weights, inputs: {}, feeds: {}, loss });
  },
  LIMIT,
);

test("a step keeps less than half, and each further block costs little more than its input and its gradients", async () => {
  const { engine, costs } = createPlanner();
  const bytes = async (depth: number, checkpointing: boolean): Promise<number> => {
    const config = { shape: [32, 32, 3], patch: 2, width: 32, depth, heads: 4 } as const;
    const weights = dit.init(config, 0);
    await compileStep({
      engine,
      name: "step",
      trained: createTrained(engine, `${depth}`, weights),
      optimiser: optimiserSettings.parse({}),
      checkpointing,
      inputs: { x: { shape: [1, ...config.shape] }, noiseLevel: { shape: [1] } },
      loss: (parameters, { x, noiseLevel }) => ({
        loss: meanSquare(dit.apply(config, parameters, { x: x!, noiseLevel: noiseLevel! })),
        metrics: {},
      }),
    });
    return costs.at(-1)?.peak ?? 0;
  };
  const [least, plain, deeper] = [await bytes(8, true), await bytes(8, false), await bytes(12, true)];
  assert.ok(least < plain / 2, `${least} of ${plain}`);
  const tokens = 4 * 256 * 32; // one block's input
  const gradients = 4 * (12 * 32 * 32 + 6 * 32 * 32 + 15 * 32); // its kernels, modulation and biases
  const further = (deeper - least) / 4;
  assert.ok(further < 1.1 * (tokens + gradients), `${further} instead of ${tokens + gradients}`);
});

test.run();
