/** No codec at all: the pixels of small images, scaled to [-1, 1], are the latents. */
import type { CodecKind } from "./codec.ts";

export const pixel = {
  kind: "pixel",
  latent: (_, imageSize) => [imageSize, imageSize, 3],
  open: async ({ imageSize }) => ({
    description: { kind: "pixel", imageSize, shape: [imageSize, imageSize, 3], hash: "pixel" },
    weights: {},
  }),
} satisfies CodecKind;
