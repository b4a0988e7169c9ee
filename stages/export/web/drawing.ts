/**
 * How a picture is made by the graphs that onestep.json describes (schemas/onestep-json.ts has the formulas): the same in a page
 * and in Node, whatever runs the graphs.
 */
import { normals } from "../../../schemas/numbers/philox.ts";
import type { Loop, OnestepJson } from "../../../schemas/onestep-json.ts";
import type { Which, Wish } from "./link.ts";

/** Values of one picture by the name of the port: floats, or whole numbers. */
export type Values = Record<string, Float32Array | Int32Array>;

/** Runs a graph for one picture. */
export type Run = (graph: "generator" | "decoder", inputs: Values) => Promise<Float32Array>;

/** All noise of a picture. */
interface Noise {
  first: Float32Array;
  prior: Float32Array | undefined;
  /** After each call. */
  fresh: readonly (Float32Array | undefined)[];
}

type Model = Pick<OnestepJson, "latent" | "noise" | "sampler" | "graphs">;

/** The noise of a wish: on a walk cos(a) n + sin(a) m of the noises at its ends, which is unit normal all along the way. */
function noiseOf(model: Model, wish: Pick<Wish, "seed" | "index" | "walk">, loop: Loop | undefined): Noise {
  const length = model.latent.reduce((product, side) => product * side, 1);
  const drawn = ({ seed, index }: Which, stream: string) => normals({ seed, stream, offset: index * length, length });
  const { walk } = wish;
  const between = (stream: string): Float32Array => {
    const start = drawn(wish, stream);
    if (!walk || walk.at === 0) return start;
    const end = drawn(walk, stream);
    if (walk.at === 1) return end;
    const [here, there] = [Math.cos((walk.at * Math.PI) / 2), Math.sin((walk.at * Math.PI) / 2)];
    return start.map((value, i) => here * value + there * (end[i] as number));
  };
  const { stream } = model.noise;
  const hasPrior = model.sampler.kind === "loop" ? model.sampler.prior !== undefined : takes(model, "prior");
  return {
    first: between(stream),
    prior: hasPrior ? between(`${stream}/prior`) : undefined,
    fresh: (loop?.stages ?? []).map(({ fresh }, i) => (fresh === 0 ? undefined : between(`${stream}/renoise/${i + 1}`))),
  };
}

const takes = ({ graphs }: Model, name: string): boolean => graphs.generator.inputs.some((port) => port.name === name);

/**
 * The picture of a wish: values [height * width * 3] in -1..1. `conditions` are what the generator takes besides noise;
 * `onCall` is told before each network call of a loop, and may throw to end it.
 */
export async function draw(options: {
  model: Model;
  wish: Pick<Wish, "seed" | "index" | "walk" | "calls">;
  conditions: Values;
  run: Run;
  onCall?: (call: number, calls: number) => Promise<void> | void;
}): Promise<Float32Array> {
  const { model, wish, conditions, run, onCall } = options;
  const { sampler } = model;
  if (sampler.kind === "direct") {
    const { first, prior } = noiseOf(model, wish, undefined);
    return run("decoder", { latent: await run("generator", { noise: first, ...(prior && { prior }), ...conditions }) });
  }
  const loop = sampler.loops[wish.calls ?? sampler.calls];
  if (!loop) throw new Error(`Cannot draw in ${wish.calls} calls: the model was exported for ${Object.keys(sampler.loops).join(", ")}.`);
  const noise = noiseOf(model, wish, loop);
  const latent = await follow(loop, startOf(loop, noise, sampler.prior), noise, async (x, level, call) => {
    await onCall?.(call, loop.stages.length);
    return run("generator", { x, level, ...conditions });
  });
  return run("decoder", { latent });
}

/** The first state: noise of the loop's deviation, and that of the prior, which has a mean and a deviation for each channel. */
function startOf({ start }: Loop, { first, prior }: Noise, spread: { mean: number[]; std: number[] } | undefined): Float32Array {
  if (!prior || !spread) return first.map((value) => start * value);
  const { mean, std } = spread;
  const channels = mean.length;
  return first.map((value, i) => start * value + mean[i % channels]! + std[i % channels]! * prior[i]!);
}

/** The last state of a loop: each stage adds up the state, what the network makes of it, what is remembered, and fresh noise. */
async function follow(
  { stages, clip = Number.POSITIVE_INFINITY }: Loop,
  start: Float32Array,
  { fresh }: Noise,
  denoise: (x: Float32Array, level: Float32Array, call: number) => Promise<Float32Array>,
): Promise<Float32Array> {
  let x = start;
  const count = Math.max(...stages.map(({ memories }) => memories.length)); // a stage names as many as it uses or fills
  let memories = Array.from({ length: count }, () => new Float64Array(x.length));
  for (const [call, stage] of stages.entries()) {
    const clean = await denoise(x, Float32Array.from(stage.level), call);
    const state = x;
    const noise = fresh[call];
    x = state.map((value, i) => {
      const held = Math.max(-clip, Math.min(clip, clean[i]!));
      let sum = stage.state * value + stage.denoised * clean[i]! + stage.clipped * held;
      for (const [j, { used }] of stage.memories.entries()) sum += used * memories[j]![i]!;
      return noise ? sum + stage.fresh * noise[i]! : sum;
    });
    memories = memories.map((memory, j) => {
      const { kept, state: ofState, denoised } = stage.memories[j] ?? { kept: 1, state: 0, denoised: 0 };
      return memory.map((value, i) => kept * value + ofState * state[i]! + denoised * clean[i]!);
    });
  }
  return x;
}

/** Values in -1..1 [height * width * 3] as pixels with full opacity [height * width * 4]. */
export function pixelsOf(image: Float32Array): Uint8ClampedArray<ArrayBuffer> {
  const pixels = new Uint8ClampedArray((image.length / 3) * 4);
  for (let from = 0, to = 0; from < image.length; to += 4) {
    for (let channel = 0; channel < 3; channel++) pixels[to + channel] = (image[from++]! + 1) * 127.5; // the array rounds and clamps
    pixels[to + 3] = 255;
  }
  return pixels;
}
