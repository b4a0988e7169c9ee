/** What gradient checkpointing is held to: not a bit of what a training leaves is another. */
import { createEngine } from "../../engine/engine.ts";
import type { InputArray, ProgramSpec } from "../../engine/program.ts";
import { tf, type Tensor } from "../../engine/tfjs.ts";
import type { Weights } from "../../engine/weights.ts";
import type { Parameters } from "../../models/layers.ts";
import { createTraining } from "../../models/training/training.ts";
import { type OptimiserSettings, optimiserSettings } from "../../schemas/settings.ts";
import { assert } from "../harness.ts";

/** Of a test: it compiles two programs of some thousand nodes. */
export const LIMIT = { seconds: 120 };

export interface Case {
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
    engine,
    name: "step",
    weights,
    inputs,
    optimiser,
    checkpointing,
    loss: (parameters, given) => ({ loss: loss(parameters, given), metrics: {} }),
  });
  const figures = [await training.step(0, feeds), await training.step(1, feeds)];
  const state = await training.save();
  await engine.dispose();
  return { figures, state };
}

/** Fails unless the network has changed, and everything is the same with and without. */
export async function holdToBits(asked: Case): Promise<void> {
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
  assert.ok(
    data.some((value, i) => value !== plain.state.network?.[name]?.data[i]),
    "it was trained",
  );
}

export const meanSquare = (x: Tensor): Tensor => tf.mean(tf.square(x));
