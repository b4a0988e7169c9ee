/**
 * The image tokenizer: a VQ autoencoder whose codes are what an autoregressive prior learns and a consistency decoder draws
 * from. LlamaGen's losses without its discriminator, which the diffusion decoder stands in for (docs/METHODS.md section 8).
 */
import * as z from "zod";
import type { Tensor } from "../engine/tfjs.ts";
import { eLatentLpips } from "../models/losses/elatentlpips.ts";
import {
  codesOfLatents,
  decodeCodes,
  type ImageTokenizerConfig,
  initImageTokenizer,
  MOST_CODES,
} from "../models/tokens/image-tokenizer.ts";
import { tokenizerLoss } from "../models/tokens/tokenizer-loss.ts";
import { count, weight } from "../schemas/settings.ts";
import type { Job, Method } from "./method.ts";
import { codebookCollapse } from "./findings/codebook.ts";

const settings = z.strictObject({
  codes: z.int().min(2).max(MOST_CODES).default(512), // LlamaGen has 16384, for ImageNet
  dimension: count.default(8), // of a code; few dimensions keep all codes in use
  downsample: z.union([z.literal(2), z.literal(4), z.literal(8), z.literal(16)]).default(4), // latent's side over the tokens' grid's
  width: z.int().min(8).default(64), // channels of the first level, rounded to eights
  reconstruction: z.enum(["squared", "absolute"]).default("squared"), // difference of latents
  commitment: weight.default(0.25), // of drawing vectors towards their codes, beta
  perceptualWeight: weight.default(1), // of the distance of features, where pretrain.tokenizer.perceptual names a network
  entropyWeight: weight.default(0.05), // keeps codes in use; LlamaGen takes none, and over as few steps as here most stay unused
});
type TokenizerSettings = z.infer<typeof settings>;

export const method: Method<TokenizerSettings> = {
  name: "tokenizer",
  about: "images as grids of whole numbers: a VQ autoencoder, for a prior and Layton's decoder",
  source: "Sun et al., Autoregressive Model Beats Diffusion (LlamaGen), 2024; van den Oord et al., NeurIPS 2017",
  makes: "tokenizer",
  settings,
  rules: {
    fit: [
      {
        settings: ["downsample", "images.size"],
        why: ({ own: { downsample }, planned: { shape } }) =>
          shape === undefined || (shape[0] % downsample === 0 && shape[1] % downsample === 0)
            ? undefined
            : `latents of ${shape[0]}x${shape[1]} do not shrink ${downsample} times; set another downsample`,
      },
    ],
    idle: [
      {
        settings: ["perceptualWeight"],
        why: ({ settings: { pretrain } }) =>
          pretrain.tokenizer.perceptual ? undefined : "there are no features to compare (pretrain.tokenizer.perceptual is not set)",
      },
    ],
  },
  needs: ({ perceptualWeight }) => ({ rows: "latents", frozen: [], ...(perceptualWeight > 0 && { uses: ["perceptual"] }) }),
  parts: ({ subject, seed, optimiser }) => ({
    tokenizer: { from: () => initImageTokenizer(configOf(subject), seed), train: "all", average: optimiser.ema },
  }),
  programs: ({ subject, optimiser: { batch }, settings: weights }) => {
    const config = configOf(subject);
    const { perceptual } = subject;
    const looks = perceptual !== undefined && weights.perceptualWeight > 0;
    const latents = { shape: [batch, ...config.shape] };
    return {
      step: {
        trains: "tokenizer",
        ...(looks && { reads: ["perceptual"] }),
        inputs: { latents },
        loss: (parameters, inputs, { perceptual: frozen = {} }) =>
          tokenizerLoss({
            config,
            parameters,
            weights,
            latents: inputs.latents as Tensor,
            ...(looks && { between: (a: Tensor, b: Tensor) => eLatentLpips({ config: perceptual, parameters: frozen, a, b }) }),
          }),
      },
      roundTrip: {
        reads: ["tokenizer"],
        inputs: { images: latents },
        outputs: ({ tokenizer = {} }, inputs) => ({
          decoded: decodeCodes(config, tokenizer, codesOfLatents(config, tokenizer, inputs.images as Tensor)),
        }),
      },
    };
  },
  step: ({ latent }, _, run) => run("step", { latents: latent as Float32Array }),
  figures: [
    {
      title: "Reconstruction",
      label: "difference of latents",
      figures: { reconstruction: "difference", perceptual: "features" },
      log: true,
    },
    { title: "Codes used", label: "share of those a batch could use", figures: { used: "used" }, section: "codebook" },
    { title: "Perplexity of the codes", label: "codes", figures: { perplexity: "perplexity" }, log: true, section: "codebook" },
    { title: "Commitment", label: "squared difference", figures: { commitment: "vectors to codes" }, log: true, section: "codebook" },
  ],
  findings: [codebookCollapse],
};

function configOf({ imageTokenizer }: Job<unknown>["subject"]): ImageTokenizerConfig {
  if (imageTokenizer) return imageTokenizer;
  throw new Error('Cannot train the method "tokenizer": its subject names no tokenizer');
}
