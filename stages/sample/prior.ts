/** The prior of a run folder as a generator of tokens. */
import { conditionsBy } from "../../models/conditions.ts";
import { priorEncoders, sequenceLength } from "../../models/tokens/prior.ts";
import type { Context } from "../../schemas/events.ts";
import type { PriorDescription, TokenSampler } from "../../schemas/model.ts";
import type { EngineSettings } from "../../schemas/settings.ts";
import { readPrior } from "../runs/model.ts";
import type { PriorWorker } from "../workers/prior.ts";
import { startWorker } from "../workers/start.ts";
import type { Draw } from "./drawing.ts";

export interface OpenPrior {
  description: PriorDescription;
  /**
   * Tokens [count * n] of the images of a draw, each a function of the seed, its number and its condition. Guidance, top-k and
   * temperature are the run's unless told.
   */
  sampleTokens: (draw: Draw & Partial<TokenSampler>) => Promise<Int32Array>;
  /** The conditions of the same draw, as rows of a store have them. */
  conditionsOf: (draw: Draw) => { label: Int32Array; caption: (string | null)[] };
  close: () => Promise<void>;
}

/**
 * Opens the prior in `path`; `batch` images are drawn at once. Its image tokenizer stands in the same folder: open it with
 * `openStoresTokenizer`. Throws a Failure where the folder holds no prior.
 */
export async function openPrior(options: { path: string; engine: EngineSettings; context: Context; batch?: number }): Promise<OpenPrior> {
  const { path, engine, context, batch = 16 } = options;
  const { description, weights } = await readPrior(path);
  const { spec, tokenizer, captions: known, sampler } = description;
  const conditions = conditionsBy(priorEncoders(spec), spec, { tokenizer });
  const compute = await startWorker<PriorWorker>({
    name: "prior",
    module: new URL("../workers/prior.ts", import.meta.url),
    remedy: "draw fewer images at once",
    options: { spec, weights, batch, engine },
    signal: context.signal,
  });
  const conditionsOf: OpenPrior["conditionsOf"] = ({ seed, start = 0, count, labels, captions }) => {
    const own = conditions.spread(start + count, known, seed);
    const label = Int32Array.from({ length: count }, (_, i) => {
      const asked = labels?.[i] ?? -1;
      return asked >= 0 ? asked : (own.label[start + i] as number);
    });
    return { label, caption: Array.from({ length: count }, (_, i) => captions?.[i] ?? own.caption[start + i] ?? null) };
  };
  return {
    description,
    conditionsOf,
    sampleTokens: async (draw) => {
      const { seed, start = 0, count } = draw;
      const { guidance = sampler.guidance, topK = sampler.topK, temperature = sampler.temperature } = draw;
      const n = sequenceLength(spec);
      const { label, caption } = conditionsOf(draw);
      const tokens = new Int32Array(count * n);
      for (let from = 0; from < count; from += batch) {
        context.signal.throwIfAborted();
        const rows = Math.min(batch, count - from);
        const bag = await conditions.inputs({ label: label.slice(from, from + rows), caption: caption.slice(from, from + rows) });
        const how = { guidance, topK, temperature };
        tokens.set(await compute.call("sample", { seed, start: start + from, rows, conditions: bag, ...how }), from * n);
      }
      return tokens;
    },
    close: compute.close,
  };
}
