/** The programs that are timed and profiled: each compiles on an engine and answers a function that runs it once. */
import type { Engine } from "../../engine/engine.ts";
import { normals } from "../../schemas/numbers/philox.ts";
import { tf, type Tensor } from "../../engine/tfjs.ts";
import { elements, type Weights } from "../../engine/weights.ts";
import { autoencoderLoss } from "../../models/losses/reconstruction.ts";
import { initAutoencoder, latentShape } from "../../models/codecs/autoencoder.ts";
import { dit } from "../../models/families/dit.ts";
import { passing } from "../../models/families/family.ts";
import { createInitialiser } from "../../models/initialise.ts";
import { conv, downsample, groupNorm, layerNorm, linear, type Parameters, silu, upsample } from "../../models/layers.ts";
import { crossAttention } from "../../models/published/layers.ts";
import { type OptimiserSettings, optimiserSettings } from "../../schemas/settings.ts";
import { unknownName } from "../../schemas/nearest.ts";
import { createTraining } from "../../models/training/training.ts";
import { ditSample, type Step } from "./sampling.ts";

export interface BenchProgram {
  about: string;
  /** What one run makes, for rates: training steps or images. */
  unit: "steps" | "images";
  /** Units of one run. */
  amount: number;
  start: (engine: Engine) => Promise<Step>;
}

const OPTIMISER: OptimiserSettings = optimiserSettings.parse({ steps: 1000, learningRate: 1e-3, warmup: 1, decay: 0, beta2: 0.999 });

async function training(options: {
  engine: Engine;
  weights: Weights;
  shapes: Record<string, number[]>;
  loss: (parameters: Parameters, inputs: Record<string, Tensor>) => { loss: Tensor; metrics: Parameters };
  checkpointing?: boolean;
}): Promise<Step> {
  const { engine, weights, shapes, loss, checkpointing = false } = options;
  const inputs = Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [name, { shape }]));
  const feeds = Object.fromEntries(
    Object.entries(shapes).map(([name, shape]) => {
      return [name, normals({ seed: 1, stream: name, length: elements(shape) })];
    }),
  );
  const { step } = await createTraining({ engine, name: "step", weights, inputs, loss, optimiser: OPTIMISER, checkpointing });
  return (index) => step(index, feeds);
}

const meanSquare = (a: Tensor, b: Tensor) => ({ loss: tf.mean(tf.square(tf.sub(a, b))), metrics: {} });

/**
 * DiT, by default of width 128 on 64 tokens of 16 numbers, batch 64: the shape of peers/dit_step.py. `side` is that of
 * the latent; a token covers 2 x 2 of it.
 */
export function ditStep(
  engine: Engine,
  { depth = 4, batch = 64, width = 128, heads = 4, side = 16, checkpointing = false } = {},
): Promise<Step> {
  const config = { shape: [side, side, 4], patch: 2, width, depth, heads } as const;
  const shape = [batch, side, side, 4];
  return training({
    engine,
    checkpointing,
    weights: dit.init(config, 0),
    shapes: { x: shape, noiseLevel: [batch], vector: [batch, width], target: shape },
    loss: (parameters, inputs) => {
      const { target, ...given } = inputs as Record<"x" | "noiseLevel" | "vector" | "target", Tensor>;
      return meanSquare(dit.apply(config, parameters, given), target);
    },
  });
}

/** A step of a few blocks that are attention over `tokens` tokens alone, as published networks have it: in pieces where it is large. */
export function attentionStep(
  engine: Engine,
  { depth = 2, tokens = 4096, heads = 8, breadth = 40, checkpointing = false } = {},
): Promise<Step> {
  const width = heads * breadth;
  const init = createInitialiser(0);
  const names = Array.from({ length: depth }, (_, i) => `blocks.${i}`);
  for (const name of names) for (const layer of ["to_q", "to_k", "to_v", "to_out.0"]) init.linear(`${name}.${layer}`, width, width);
  const shape = [1, tokens, width];
  return training({
    engine,
    checkpointing,
    weights: init.weights,
    shapes: { x: shape, target: shape },
    loss: (parameters, { x, target }) => {
      const block = (t: Tensor, name: string): Tensor =>
        passing({}, name, tf.add(t, crossAttention(parameters, name, layerNorm(t), { heads })));
      return meanSquare(names.reduce(block, x as Tensor), target as Tensor);
    },
  });
}

/** A small U-Net of 64 and 128 channels at 16 and 8 px; convolutions inside its blocks have no bias. */
export function smallUnet(width = 64): { weights: Weights; apply: (parameters: Parameters, x: Tensor) => Tensor } {
  const init = createInitialiser(0);
  const deep = 2 * width;
  const blocks = { down1: [width, width], down2: [width, deep], middle: [deep, deep], up2: [2 * deep, deep], up1: [deep + width, width] };
  init.conv("head", 3, 4, width);
  init.conv("tail", 3, width, 4);
  const bare = Object.entries(blocks).flatMap(([name, sides]) => {
    const [from, to] = sides as [number, number];
    init.norm(`${name}.norm1`, from);
    init.norm(`${name}.norm2`, to);
    init.conv(`${name}.conv1`, 3, from, to);
    init.conv(`${name}.conv2`, 3, to, to);
    if (from !== to) init.linear(`${name}.skip`, from, to);
    return [`${name}.conv1.bias`, `${name}.conv2.bias`, `${name}.skip.bias`];
  });
  const block = (p: Parameters, name: string, x: Tensor): Tensor => {
    const first = conv(p, `${name}.conv1`, silu(groupNorm(p, `${name}.norm1`, x, 8)));
    const second = conv(p, `${name}.conv2`, silu(groupNorm(p, `${name}.norm2`, first, 8)));
    return tf.add(second, p[`${name}.skip.kernel`] ? linear(p, `${name}.skip`, x) : x);
  };
  return {
    weights: Object.fromEntries(Object.entries(init.weights).filter(([name]) => !bare.includes(name))),
    apply: (p, x) => {
      const h1 = block(p, "down1", conv(p, "head", x));
      const h2 = block(p, "down2", downsample(h1));
      const u2 = block(p, "up2", tf.concat([block(p, "middle", h2), h2], 3));
      return conv(p, "tail", block(p, "up1", tf.concat([upsample(u2), h1], 3)));
    },
  };
}

/** The small U-Net, batch 32. */
export function unetStep(engine: Engine): Promise<Step> {
  const { weights, apply } = smallUnet();
  return training({
    engine,
    weights,
    shapes: { x: [32, 16, 16, 4], target: [32, 16, 16, 4] },
    loss: (p, { x, target }) => meanSquare(apply(p, x as Tensor), target as Tensor),
  });
}

/** The default autoencoder on images of 64 px, batch 16. */
export function autoencoderStep(engine: Engine, batch = 16): Promise<Step> {
  const config = { channels: 4, downsample: 4, width: 48, limit: 3, noise: 0.1, perceptualWeight: 1, boundWeight: 0.01 };
  return training({
    engine,
    weights: initAutoencoder(config, 0),
    shapes: { images: [batch, 64, 64, 3], noise: [batch, ...latentShape(config, 64)] },
    loss: (parameters, inputs) => autoencoderLoss({ config, parameters, ...(inputs as { images: Tensor; noise: Tensor }) }),
  });
}

const step = (about: string, start: BenchProgram["start"]): BenchProgram => ({ about, unit: "steps", amount: 1, start });
const sampling = (batch: number): BenchProgram => ({
  about: `one-step sampling with the DiT, batch ${batch}`,
  unit: "images",
  amount: batch,
  start: (engine) => ditSample(engine, { batch }),
});

/** Every program that can be timed or profiled, by name. */
export const benchPrograms: Readonly<Record<string, BenchProgram>> = {
  dit: step("DiT training step: width 128, depth 4, 64 tokens, batch 64", ditStep),
  dit6: step("the same with depth 6", (engine) => ditStep(engine, { depth: 6 })),
  "dit-large": step("DiT training step: width 384, depth 12, 256 tokens, batch 8", (engine) =>
    ditStep(engine, { width: 384, depth: 12, heads: 6, side: 32, batch: 8 }),
  ),
  unet: step("U-Net training step: 64 and 128 channels at 16 and 8 px, batch 32", unetStep),
  autoencoder: step("autoencoder training step: 64 px, batch 16", autoencoderStep),
  "sample-1": sampling(1),
  sample: sampling(16),
  "sample-256": sampling(256),
};

/** The program of that name, or a usage failure that suggests the nearest. */
export function benchProgram(name: string, programs = benchPrograms): BenchProgram {
  const program = Object.hasOwn(programs, name) ? programs[name] : undefined;
  if (program) return program;
  throw unknownName(name, { what: "step", names: Object.keys(programs) });
}
