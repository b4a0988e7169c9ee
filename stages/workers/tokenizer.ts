/** An image tokenizer in a worker: latents to tokens, tokens to the map of their codes, and back to latents by its own decoder. */
import { createEngine, type Program } from "../../engine/engine.ts";
import { filled } from "../../engine/fill.ts";
import type { Tensor } from "../../engine/tfjs.ts";
import { elements, type Weights } from "../../engine/weights.ts";
import type { Parameters } from "../../models/layers.ts";
import { codesOfTokens, decodeCodes, gridOf, tokenCount, tokensOfLatents } from "../../models/tokens/image-tokenizer.ts";
import type { ImageTokenizerConfig } from "../../schemas/model.ts";
import type { EngineSettings } from "../../schemas/settings.ts";
import { deviceOf } from "./device.ts";

export interface TokenizerOptions {
  config: ImageTokenizerConfig;
  weights: Weights;
  batch: number;
  engine: EngineSettings;
}

/** The worker's methods; see engine/compute.ts. Each program is compiled when first needed. */
export async function create({ config, weights, batch, engine: where }: TokenizerOptions) {
  const engine = await createEngine(deviceOf(where));
  const sets = { network: engine.constants("network", weights) };
  const { shape, dimension } = config;
  const programs = new Map<string, Promise<Program>>();

  /** Applies a function to any number of rows, the last batch filled with zeros. */
  async function inBatches(options: {
    name: string;
    x: Float32Array | Int32Array;
    from: readonly number[];
    to: readonly number[];
    apply: (parameters: Parameters, x: Tensor) => Tensor;
  }): Promise<Float32Array> {
    const { name, x, from, to, apply } = options;
    const dtype = x instanceof Int32Array ? "int32" : "float32";
    const compiled =
      programs.get(name) ??
      engine.compile({
        name,
        sets,
        inputs: { x: { shape: [batch, ...from], dtype } },
        run: ({ network }, inputs) => ({ outputs: { y: apply(network, inputs.x as Tensor) } }),
      });
    programs.set(name, compiled);
    const [inSize, outSize] = [elements([...from]), elements([...to])];
    const rows = x.length / inSize;
    const y = new Float32Array(rows * outSize);
    for (let row = 0; row < rows; row += batch) {
      const part = x.subarray(row * inSize, Math.min(row + batch, rows) * inSize);
      const result = (await (await compiled).run({ x: filled(part, batch * inSize) })).y as Float32Array | Int32Array;
      y.set(result.subarray(0, (part.length / inSize) * outSize), row * outSize);
    }
    return y;
  }

  const count = tokenCount(config);
  const grid = [...gridOf(config), dimension];
  return {
    /** Latents [rows * h * w * c] in the model's scale -> tokens [rows * n]. */
    tokens: async (x: Float32Array): Promise<Int32Array> =>
      Int32Array.from(
        await inBatches({
          name: "tokens",
          x,
          from: shape,
          to: [count],
          apply: (network, latents) => tokensOfLatents(config, network, latents),
        }),
      ),
    /** Tokens [rows * n] -> the map of their codes [rows * h' * w' * dimension]. */
    codes: (x: Int32Array): Promise<Float32Array> =>
      inBatches({ name: "codes", x, from: [count], to: grid, apply: (network, tokens) => codesOfTokens(config, network, tokens) }),
    /** Tokens [rows * n] -> latents [rows * h * w * c] in the model's scale, by the tokenizer's own decoder. */
    latents: (x: Int32Array): Promise<Float32Array> =>
      inBatches({
        name: "latents",
        x,
        from: [count],
        to: shape,
        apply: (network, tokens) => decodeCodes(config, network, codesOfTokens(config, network, tokens)),
      }),
  };
}

export type TokenizerWorker = Awaited<ReturnType<typeof create>>;
