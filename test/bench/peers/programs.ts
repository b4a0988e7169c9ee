/** The programs of peers.py, in the same shapes and with the same arithmetic, as functions that run one step. */
import { createEngine, type Engine } from "../../../engine/engine.ts";
import { normals } from "../../../schemas/numbers/philox.ts";
import type { ProgramSpec, Tensors } from "../../../engine/program.ts";
import { tf, type Tensor, type Scalar } from "../../../engine/tfjs.ts";
import { type Weights, zerosLike } from "../../../engine/weights.ts";
import { decode, encode, initAutoencoder } from "../../../models/codecs/autoencoder.ts";
import { gelu, layerNorm, linear, type Parameters, selfAttention } from "../../../models/layers.ts";
import { smallUnet } from "../../../stages/bench/programs.ts";

export type Step = () => Promise<unknown>;

type Loss = (parameters: Parameters, inputs: Tensors) => Tensor;
type Shapes = Record<string, number[]>;

function feedsOf(shapes: Shapes): Record<string, Float32Array> {
  return Object.fromEntries(
    Object.entries(shapes).map(([name, shape]) => [name, normals({ seed: 1, stream: name, length: shape.reduce((a, b) => a * b, 1) })]),
  );
}
const declared = (shapes: Shapes): ProgramSpec["inputs"] =>
  Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [name, { shape }]));
const meanSquare = (a: Tensor, b: Tensor): Tensor => tf.mean(tf.square(tf.sub(a, b)));

async function train(engine: Engine, options: { weights: Weights; shapes: Shapes; loss: Loss; adam: boolean }): Promise<Step> {
  const { weights, shapes, loss, adam } = options;
  const network = engine.variables("network", weights);
  const first = engine.variables("first", adam ? zerosLike(weights) : {});
  const second = engine.variables("second", adam ? zerosLike(weights) : {});
  const { run } = await engine.compile({
    name: "step",
    sets: { network, first, second },
    inputs: { ...declared(shapes), correction1: { shape: [] }, correction2: { shape: [] } },
    run: (sets, inputs) => {
      const names = Object.keys(sets.network);
      const value = (...given: Tensor[]): Scalar => loss(Object.fromEntries(names.map((name, i) => [name, given[i]!])), inputs) as Scalar;
      const { value: at, grads } = tf.valueAndGrads(value)(names.map((name) => sets.network[name] as Tensor));
      const updates: Record<"network" | "first" | "second", Tensors> = { network: {}, first: {}, second: {} };
      for (const [i, name] of names.entries()) {
        const [w, g] = [sets.network[name] as Tensor, grads[i] as Tensor];
        if (!adam) {
          updates.network[name] = tf.sub(w, tf.mul(g, 1e-2));
          continue;
        }
        const m = tf.add(tf.mul(sets.first[name] as Tensor, 0.9), tf.mul(g, 0.1));
        const v = tf.add(tf.mul(sets.second[name] as Tensor, 0.999), tf.mul(tf.square(g), 0.001));
        const root = tf.add(tf.sqrt(tf.div(v, inputs.correction2 as Tensor)), 1e-8);
        updates.first[name] = m;
        updates.second[name] = v;
        updates.network[name] = tf.sub(w, tf.mul(tf.div(tf.div(m, inputs.correction1 as Tensor), root), 1e-3));
      }
      return { outputs: { loss: at }, updates };
    },
  });
  const feeds = feedsOf(shapes);
  let t = 0;
  return () => run({ ...feeds, correction1: Float32Array.of(1 - 0.9 ** ++t), correction2: Float32Array.of(1 - 0.999 ** t) });
}

interface DitShape {
  batch: number;
  tokens: number;
  width: number;
  depth: number;
  heads: number;
}

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

function unet(engine: Engine): Promise<Step> {
  const { weights, apply } = smallUnet();
  return train(engine, {
    weights,
    shapes: { x: [32, 16, 16, 4], target: [32, 16, 16, 4] },
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
  unet,
  autoencoder,
  "forward-1": (engine) => ditForward(engine, { batch: 1, ...SMALL }),
  "forward-16": (engine) => ditForward(engine, { batch: 16, ...SMALL }),
  "forward-256": (engine) => ditForward(engine, { batch: 256, ...SMALL }),
};
export const NAMES = Object.keys(PROGRAMS);

/** The program `name`, compiled. */
export async function compileStep(name: string, threads: number): Promise<Step> {
  const engine = await createEngine({ device: "cpu", threads });
  return (PROGRAMS[name] as (engine: Engine) => Promise<Step>)(engine);
}
