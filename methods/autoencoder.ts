/** Our own autoencoder, trained on pixels: what a picture loses on its way through latents, and how far these are from N(0, 1). */
import * as z from "zod";
import type { Tensor } from "../engine/tfjs.ts";
import { decode, encode, initAutoencoder, latentShape } from "../models/codecs/autoencoder.ts";
import { autoencoderLoss } from "../models/losses/reconstruction.ts";
import { normals } from "../schemas/numbers/philox.ts";
import { count, weight } from "../schemas/settings.ts";
import type { Job, Method } from "./method.ts";
import { elements } from "../engine/weights.ts";

const settings = z.strictObject({
  channels: count.default(4), // latent channels
  downsample: z.union([z.literal(2), z.literal(4), z.literal(8)]).default(4), // image side over latent side
  width: z.int().min(4).default(48), // channels at half resolution, rounded to eights
  perceptualWeight: weight.default(0.5),
  boundWeight: weight.default(1e-4), // pulls latents towards N(0, 1)
});
type AutoencoderSettings = z.infer<typeof settings>;

export const method: Method<AutoencoderSettings> = {
  name: "autoencoder",
  about: "an autoencoder of images: the latents that a teacher then learns",
  source: "Kingma & Welling, Auto-Encoding Variational Bayes, ICLR 2014; structure loss after Wang et al. 2004",
  makes: "autoencoder",
  settings,
  rules: {
    fit: [
      {
        settings: ["images.size", "downsample"],
        why: ({ own: { downsample }, imageSize }) =>
          imageSize % downsample === 0
            ? undefined
            : `the side of an image shrinks ${downsample} times; set images.size to a multiple of it`,
      },
    ],
  },
  needs: () => ({ rows: "raw", frozen: [] }),
  parts: ({ subject, seed, optimiser }) => ({
    autoencoder: { from: () => initAutoencoder(networkOf(subject).config, seed), train: "all", average: optimiser.ema },
  }),
  programs: ({ subject, optimiser: { batch } }) => {
    const { config, imageSize } = networkOf(subject);
    const images = { shape: [batch, imageSize, imageSize, 3] };
    return {
      step: {
        trains: "autoencoder",
        inputs: { images, noise: { shape: [batch, ...latentShape(config, imageSize)] } },
        loss: (parameters, inputs) => autoencoderLoss({ config, parameters, ...(inputs as { images: Tensor; noise: Tensor }) }),
      },
      roundTrip: {
        reads: ["autoencoder"],
        inputs: { images },
        outputs: ({ autoencoder = {} }, inputs) => ({
          decoded: decode(config, autoencoder, encode(config, autoencoder, inputs.images as Tensor)),
        }),
      },
    };
  },
  step: async ({ step, latent }, { optimiser: { batch }, seed, subject }, run) => {
    const { config, imageSize } = networkOf(subject);
    const length = batch * elements(latentShape(config, imageSize));
    return run("step", {
      images: latent as Float32Array,
      noise: normals({ seed, stream: "autoencoder/noise", offset: step * length, length }),
    });
  },
  figures: [],
};

function networkOf({ autoencoder }: Job<unknown>["subject"]) {
  if (autoencoder) return autoencoder;
  throw new Error('Cannot train the method "autoencoder": its subject names no autoencoder');
}
