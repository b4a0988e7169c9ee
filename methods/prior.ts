/**
 * The prior: a transformer that learns which token of an image comes next, by cross-entropy, with classifier-free dropout of
 * the condition (docs/METHODS.md section 8; LlamaGen).
 */
import * as z from "zod";
import type { Tensor } from "../engine/tfjs.ts";
import { initPrior, type PriorSpec, priorConditions, priorLogits, sequenceLength, tokenCrossEntropy } from "../models/tokens/prior.ts";
import { uniforms } from "../schemas/numbers/philox.ts";
import { count, fraction } from "../schemas/settings.ts";
import type { Job, Method } from "./method.ts";
import { dropConditionFit } from "./fit/dropped-conditions.ts";

const settings = z.strictObject({
  width: count.default(192), // of the transformer
  depth: count.default(6), // blocks
  heads: count.default(6),
  dropCondition: fraction.default(0.1), // share of images that train the unconditional prediction of guidance
  guidance: z.number().nonnegative().default(2), // of samples: l = l_u + guidance (l_c - l_u); 1 is none
  topK: z.int().nonnegative().default(0), // of samples: only the so many likeliest tokens; 0: all
  temperature: z.number().nonnegative().default(1), // of samples: 0 takes the likeliest
});
type PriorSettings = z.infer<typeof settings>;

export const method: Method<PriorSettings> = {
  name: "prior",
  about: "which token of an image comes next: an autoregressive transformer",
  source: "Sun et al., Autoregressive Model Beats Diffusion (LlamaGen), 2024",
  makes: "prior",
  settings,
  rules: {
    fit: [
      {
        settings: ["heads", "width"],
        why: ({ own: { heads, width } }) =>
          width % heads === 0 ? undefined : "each head takes an equal share of the width; set heads to a divisor of it",
      },
      ...dropConditionFit<PriorSettings>("guidance", ({ own }) => own.guidance),
    ],
    idle: [
      {
        settings: ["dropCondition", "guidance"],
        why: ({ isConditional }) => (isConditional ? undefined : "there is no condition (network.condition is none)"),
      },
      {
        settings: ["topK"],
        why: ({ own: { temperature } }) => (temperature === 0 ? "the likeliest token is taken (temperature is 0)" : undefined),
      },
    ],
  },
  needs: () => ({ rows: "tokens", frozen: [] }),
  parts: ({ subject, seed, optimiser }) => ({
    prior: { from: () => initPrior(specOf(subject), seed), train: "all", average: optimiser.ema },
  }),
  programs: ({ subject, optimiser: { batch } }) => {
    const spec = specOf(subject);
    const imageTokens = { shape: [batch, sequenceLength(spec)], dtype: "int32" as const };
    return {
      step: {
        trains: "prior",
        inputs: { imageTokens, ...priorConditions(spec, batch) },
        loss: (parameters, inputs) => ({
          loss: tokenCrossEntropy(priorLogits(spec, parameters, inputs), inputs.imageTokens as Tensor),
          metrics: {},
        }),
      },
    };
  },
  step: ({ step, tokens, conditions }, { settings, optimiser: { batch }, seed }, run) => {
    const kept = uniforms({ seed, stream: "prior/keep", offset: step * batch, length: batch });
    const keep = Float32Array.from(kept, (u) => (u < settings.dropCondition ? 0 : 1));
    const isConditional = Object.keys(conditions).length > 0;
    return run("step", { imageTokens: tokens as Int32Array, ...conditions, ...(isConditional && { keep }) });
  },
  figures: [{ title: "Cross-entropy", label: "nats a token", figures: { loss: "cross-entropy" } }],
};

function specOf({ prior }: Job<unknown>["subject"]): PriorSpec {
  if (prior) return prior;
  throw new Error('Cannot train the method "prior": its subject names no prior');
}
