/**
 * Draws the tokens of images from a prior, one after the other, with the keys and values of all places before kept on the
 * device. Each draw is a function of the seed, the image's number and the token's.
 */
import type { Engine } from "../../engine/engine.ts";
import { filled } from "../../engine/fill.ts";
import type { InputArray } from "../../engine/program.ts";
import { tf, type Tensor } from "../../engine/tfjs.ts";
import { type ConstantSet, createOrder, type VariableSet } from "../../engine/variables.ts";
import { elements } from "../../engine/weights.ts";
import { uniforms } from "../../schemas/numbers/philox.ts";
import type { PriorSpec, TokenSampler } from "../../schemas/model.ts";
import type { ConditionBag } from "../encoders/encoder.ts";
import { drawToken, guidedLogits } from "./draw-token.ts";
import { beginTokens, type Cache, cacheShapes, continueTokens, placesOf, prefixLength, priorConditions, sequenceLength } from "./prior.ts";

/** Which images: number `start` and the `rows - 1` after it. */
export interface TokenDraw extends TokenSampler {
  seed: number;
  start: number;
  rows: number;
  /** Of each of the rows. */
  conditions: ConditionBag;
}

export interface PriorSampling {
  /** Tokens [rows * n]. */
  sample: (draw: TokenDraw) => Promise<Int32Array>;
}

/** Compiles a prior for `batch` images at once; with guidance other than 1 each takes two rows of the network. */
export async function createPriorSampling(options: {
  engine: Engine;
  spec: PriorSpec;
  network: VariableSet | ConstantSet;
  batch: number;
  /** Whether guidance will be asked for; a prior without conditions has none. */
  isGuided: boolean;
}): Promise<PriorSampling> {
  const { engine, spec, network, batch } = options;
  const declared = priorConditions(spec, batch);
  const isGuided = options.isGuided && Object.keys(declared).length > 0;
  const rows = isGuided ? 2 * batch : batch;
  const [n, codes, places, first] = [sequenceLength(spec), spec.codes, placesOf(spec), prefixLength(spec)];
  const shapes = cacheShapes(spec, rows);
  const blank = Object.entries(shapes).map(([key, shape]) => [key, { shape, data: new Float32Array(elements(shape)) }]);
  const cache = engine.variables("keys and values", Object.fromEntries(blank));
  const sets = { network, cache };
  const twice = (x: Tensor): Tensor => (isGuided ? tf.concat([x, x]) : x);

  const begin = await engine.compile({
    name: "prior: first token",
    sets,
    inputs: declared,
    run: (at, { keep, ...given }) => {
      const conditions = Object.fromEntries(Object.entries(given).map(([name, x]) => [name, twice(x as Tensor)]));
      const kept = keep && (isGuided ? tf.concat([keep, tf.zerosLike(keep)]) : keep);
      const made = beginTokens(spec, at.network, { batch: rows, conditions: { ...conditions, ...(kept && { keep: kept }) } });
      return { outputs: { logits: made.logits }, updates: { cache: made.cache } };
    },
  });
  const go = await engine.compile({
    name: "prior: next token",
    sets,
    inputs: { token: { shape: [batch], dtype: "int32" }, place: { shape: [1, places] }, future: { shape: [1, places] } },
    run: (at, { token, place, future }) => {
      const given = { token: twice(token as Tensor), place: place as Tensor, future: future as Tensor };
      const { logits, cache: next } = continueTokens(spec, at.network, { ...given, cache: at.cache as Cache });
      const { hidden: _, ...updated } = next;
      return { outputs: { logits }, updates: { cache: updated } };
    },
  });

  async function sampleBatch(draw: TokenDraw, from: number): Promise<Int32Array> {
    const count = Math.min(batch, draw.rows - from);
    const take = <T extends InputArray>(values: T): T => {
      const width = values.length / draw.rows;
      return filled(values.subarray(from * width, (from + count) * width) as T, batch * width);
    };
    const given = Object.entries(draw.conditions).map(([name, values]) => [name, take(values)]);
    const conditions = { ...Object.fromEntries(given), ...("keep" in declared && { keep: new Float32Array(batch).fill(1) }) };
    const u = uniforms({ seed: draw.seed, stream: "prior/tokens", offset: (draw.start + from) * n, length: count * n });
    const tokens = new Int32Array(count * n);
    for (let i = 0; i < n; i++) {
      const step = (): Record<string, InputArray> => {
        const at = first + i - 1; // where token i - 1 stands
        const last = filled(
          Int32Array.from({ length: count }, (_, row) => tokens[row * n + i - 1] as number),
          batch,
        );
        const place = Float32Array.from({ length: places }, (_, p) => Number(p === at));
        return { token: last, place, future: Float32Array.from({ length: places }, (_, p) => Number(p > at)) };
      };
      const { logits } = (i === 0 ? await begin.run(conditions) : await go.run(step())) as { logits: Float32Array };
      for (let row = 0; row < count; row++) {
        const of = (r: number): Float32Array => logits.subarray(r * codes, (r + 1) * codes);
        const guided = isGuided ? guidedLogits(of(row), of(batch + row), draw.guidance) : of(row);
        tokens[row * n + i] = drawToken(guided, u[row * n + i] as number, draw);
      }
    }
    return tokens;
  }

  const inOrder = createOrder(); // they share the cache
  return {
    sample: (draw) =>
      inOrder(async () => {
        const tokens = new Int32Array(draw.rows * n);
        for (let from = 0; from < draw.rows; from += batch) tokens.set(await sampleBatch(draw, from), from * n);
        return tokens;
      }),
  };
}
