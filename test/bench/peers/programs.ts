/** The programs of peers.py, in the same shapes and with the same arithmetic, as functions that run one step. */
import { createEngine, type Engine } from "../../../engine/engine.ts";
import { normals } from "../../../schemas/numbers/philox.ts";
import { tf, type Tensor } from "../../../engine/tfjs.ts";
import type { Weights } from "../../../engine/weights.ts";
import { decode, encode, initAutoencoder } from "../../../models/codecs/autoencoder.ts";
import { gelu, layerNorm, linear, type Parameters, selfAttention } from "../../../models/layers.ts";
import { smallUnet } from "../../../stages/bench/programs.ts";
import { ditSample } from "../../../stages/bench/sampling.ts";
import { publishedStep } from "./published.ts";
import { type DitShape, GPU_DIT, TINY_DIT } from "./shapes.ts";
import { declared, feedsOf, meanSquare, type Step, train } from "./step.ts";

function ditWeights({ tokens, width, depth }: DitShape): Weights {
  const normal = (name: string, shape: number[], scale: number) => {
    const data = normals({ seed: 0, stream: name, length: shape.reduce((a, b) => a * b, 1) }).map((x) => x * scale);
    return [name, { shape, data }] as const;
  };
  return Object.fromEntries([
    normal("in.kernel", [16, width], 0.1),
    normal("pos", [tokens, width], 0.1),
    normal("out.kernel", [width, 16], 0.1),
    ...Array.from({ length: depth }, (_, l) => [
      normal(`ada${l}.kernel`, [width, 6 * width], 0.02),
      normal(`${l}.qkv.kernel`, [width, 3 * width], 0.05),
      normal(`${l}.out.kernel`, [width, width], 0.05),
      normal(`up${l}.kernel`, [width, 4 * width], 0.05),
      normal(`down${l}.kernel`, [4 * width, width], 0.05),
    ]).flat(),
  ]);
}

/** DiT with adaptive layer norm on x [batch, tokens, 16], conditioned on c [batch, width]. */
function applyDit({ batch, width, depth, heads }: DitShape, p: Parameters, x: Tensor, c: Tensor): Tensor {
  let h = tf.add(linear(p, "in", x), p.pos as Tensor);
  const modulated = (shift: Tensor, scale: Tensor): Tensor => tf.add(tf.mul(layerNorm(h), tf.add(scale, 1)), shift);
  for (let l = 0; l < depth; l++) {
    const a = tf.split(tf.reshape(linear(p, `ada${l}`, c), [batch, 1, 6 * width]), 6, 2) as Tensor[];
    h = tf.add(h, tf.mul(selfAttention(p, `${l}`, modulated(a[1]!, a[0]!), { heads }), a[2]!));
    h = tf.add(h, tf.mul(linear(p, `down${l}`, gelu(linear(p, `up${l}`, modulated(a[4]!, a[3]!)))), a[5]!));
  }
  return linear(p, "out", layerNorm(h));
}

function ditTraining(engine: Engine, shape: DitShape): Promise<Step> {
  const { batch, tokens, width } = shape;
  return train(engine, {
    weights: ditWeights(shape),
    shapes: { x: [batch, tokens, 16], c: [batch, width], target: [batch, tokens, 16] },
    loss: (p, { x, c, target }) => meanSquare(applyDit(shape, p, x as Tensor, c as Tensor), target as Tensor),
    adam: true,
  });
}

async function ditForward(engine: Engine, shape: DitShape): Promise<Step> {
  const shapes = { x: [shape.batch, shape.tokens, 16], c: [shape.batch, shape.width] };
  const { run } = await engine.compile({
    name: "forward",
    sets: { network: engine.constants("network", ditWeights(shape)) },
    inputs: declared(shapes),
    run: ({ network }, { x, c }) => ({ outputs: { y: applyDit(shape, network, x as Tensor, c as Tensor) } }),
  });
  const feeds = feedsOf(shapes);
  return () => run(feeds);
}

function unet(engine: Engine, { batch = 32, side = 16, width = 64 } = {}): Promise<Step> {
  const { weights, apply } = smallUnet(width);
  return train(engine, {
    weights,
    shapes: { x: [batch, side, side, 4], target: [batch, side, side, 4] },
    loss: (p, { x, target }) => meanSquare(apply(p, x as Tensor), target as Tensor),
    adam: false,
  });
}

/** The default autoencoder on images of 64 px. */
function autoencoder(engine: Engine): Promise<Step> {
  const config = { channels: 4, downsample: 4, width: 48, limit: 3, noise: 0, perceptualWeight: 0, boundWeight: 0 };
  return train(engine, {
    weights: initAutoencoder(config, 0),
    shapes: { images: [16, 64, 64, 3] },
    loss: (p, { images }) => meanSquare(decode(config, p, encode(config, p, images as Tensor)), images as Tensor),
    adam: true,
  });
}

const SMALL = { tokens: 64, width: 128, depth: 4, heads: 4 };

const PROGRAMS: Record<string, (engine: Engine) => Promise<Step>> = {
  dit: (engine) => ditTraining(engine, { batch: 64, ...SMALL }),
  "dit-large": (engine) => ditTraining(engine, { batch: 8, tokens: 256, width: 384, depth: 12, heads: 6 }),
  unet: (engine) => unet(engine),
  autoencoder,
  "forward-1": (engine) => ditForward(engine, { batch: 1, ...SMALL }),
  "forward-16": (engine) => ditForward(engine, { batch: 16, ...SMALL }),
  "forward-256": (engine) => ditForward(engine, { batch: 256, ...SMALL }),
};
/** A teacher's samples by Heun's method in ten steps: 19 evaluations. */
async function ode(engine: Engine, size: { batch: number; depth: number; width: number; side: number }, unrolled?: boolean): Promise<Step> {
  const run = await ditSample(engine, { ...size, unrolled, plan: { solver: "heun", steps: 10, guidance: 1 } });
  return () => run(0);
}

const [ODE, TINY_ODE] = [
  { batch: 64, depth: 4, width: 384, side: 16 },
  { batch: 1, depth: 1, width: 8, side: 4 },
];

const ON_GPU: typeof PROGRAMS = {
  "gpu-dit": (engine) => ditTraining(engine, GPU_DIT),
  "gpu-sample": (engine) => ditForward(engine, GPU_DIT),
  "gpu-ode": (engine) => ode(engine, ODE),
  "gpu-ode-staged": (engine) => ode(engine, ODE, false),
  "tiny-ode": (engine) => ode(engine, TINY_ODE, true),
  "gpu-unet": (engine) => unet(engine, { batch: 256, side: 32 }),
  "tiny-dit": (engine) => ditTraining(engine, TINY_DIT),
  "tiny-sample": (engine) => ditForward(engine, TINY_DIT),
  "tiny-unet": (engine) => unet(engine, { batch: 1, side: 4, width: 8 }),
};
export const NAMES = Object.keys(PROGRAMS);

/** The program `name` compiled on the engine: one of the above, or of published.ts. */
export function startStep(engine: Engine, name: string): Promise<Step> {
  const program = PROGRAMS[name] ?? ON_GPU[name];
  return program ? program(engine) : publishedStep(engine, name);
}

/** The same on an engine of its own, by DEVICE (cpu) and PRECISION (single) of the environment. */
export async function compileStep(name: string, threads: number): Promise<Step> {
  const { DEVICE = "cpu", PRECISION = "single" } = process.env;
  return startStep(await createEngine({ device: DEVICE as "cpu", precision: PRECISION as "single", threads }), name);
}
