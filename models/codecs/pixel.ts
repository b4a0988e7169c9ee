/** No codec at all: the pixels of small images, scaled to [-1, 1], are the latents. */
import { type CodecKind, latentSides } from "./codec.ts";

export const pixel = {
  kind: "pixel",
  latent: (_, imageSize) => [...latentSides(imageSize, 1), 3],
  withoutPath: "pixels are latents as they are (encoder.kind is pixel)",
  open: async ({ imageSize }) => ({
    description: { kind: "pixel", imageSize, shape: [...latentSides(imageSize, 1), 3], hash: "pixel" },
    weights: {},
  }),
} satisfies CodecKind;
