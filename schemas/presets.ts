/** Starting points for whole jobs: `--preset NAME`. Each is a part of the settings; the rest keeps its default. */
import type { Settings } from "./settings.ts";

type Partially<T> = T extends unknown[] ? T : T extends object ? { [K in keyof T]?: Partially<T[K]> } : T;

export interface Preset {
  about: string;
  settings: Partially<Settings>;
}

/** The discriminator that won on Fashion-MNIST (README, results): over frozen features, it sees real images and learns fast. */
export const featureDiscriminator = { discriminator: "features", imageShare: 1, adversarialWeight: 2, discriminatorRate: 2e-3 } as const;

/** A regression whose plain part keeps pixels clean. */
const regression = { pixelWeight: 10, learningRate: 1.5e-3, decay: 0.5 };
const projected = { ...regression, ...featureDiscriminator };

/** The plain part of it and a discriminator that counts for more once the student has settled: won in pixels (README, results). */
const sharpened = { ...projected, perceptualWeight: 0, adversarialWeight: 1, sharpen: 4 };

/** The plain part of it alone, which won on photographs in real latents (README, results); it wants more triples. */
const plain = { ...regression, perceptualWeight: 0, adversarialWeight: 0 };

export const presets: Record<string, Preset> = {
  demo: {
    about:
      "the built-in captioned set at 64 px through the bundled autoencoder, in about six minutes on two cores: 1.05 times the teacher's Fréchet distance",
    settings: {
      images: { size: 64 },
      encoder: { kind: "autoencoder" },
      network: { kind: "dit", condition: "caption", vocabulary: 128, captionTokens: 16 },
      pretrain: { teacher: { steps: 4500 }, perceptual: { steps: 3000 } },
      simulate: { count: 2048, steps: 12, guidance: 1.5, rowsPerShard: 128, batch: 32 },
      train: { ...projected, steps: 600, batch: 32, ema: 0.99, adversarialStart: 300, stepsPerShard: 16, distanceEvery: 300 },
      evaluate: { count: 256, features: "builtin" },
    },
  },
  tiny: {
    about:
      "28 or 32 px images with class folders, in pixel space; an hour on two cores: 0.86 times the teacher's Fréchet distance on Fashion-MNIST",
    settings: {
      images: { size: 28 },
      encoder: { kind: "pixel" },
      network: { kind: "dit", patch: 4, condition: "class" },
      pretrain: { teacher: { steps: 7000, batch: 64 }, perceptual: { steps: 1200 } },
      simulate: { count: 10_000, steps: 18, rowsPerShard: 256 },
      train: { ...sharpened, steps: 3200, batch: 64, scales: [1, 7] },
    },
  },
  small: {
    about:
      "64 px photographs through a TAESD-layout autoencoder (--set encoder.path=FOLDER), class folders; an hour on two cores: 1.15 times the teacher's Fréchet distance on 3,409 photographs of clothes",
    settings: {
      images: { size: 64 },
      encoder: { kind: "taesd" },
      network: { kind: "dit", patch: 1, condition: "class" },
      pretrain: { teacher: { steps: 4000 } },
      simulate: { count: 16_384, rowsPerShard: 256 },
      train: { ...plain, steps: 4000 },
    },
  },
  base: {
    about:
      "64 px images with captions through an autoencoder of their own; three and a half hours on two cores: captions obeyed within a point of the teacher, 1.36 times its Fréchet distance on the built-in set",
    settings: {
      images: { size: 64 },
      encoder: { kind: "autoencoder" },
      network: { kind: "dit", condition: "caption", vocabulary: 128, captionTokens: 16 },
      pretrain: { autoencoder: { steps: 3000, batch: 16 }, teacher: { steps: 7500 }, perceptual: { steps: 3000 } },
      // as near to the pictures as Heun's 35 evaluations, at a third of the time (README, results)
      simulate: { count: 40_000, solver: "dpm++2m", steps: 12, guidance: 1.5, rowsPerShard: 256 },
      train: { ...projected, steps: 6000 },
    },
  },
  smoke: {
    about: "everything at its smallest: proves that a set-up works, in seconds",
    settings: {
      images: { size: 16 },
      encoder: { kind: "pixel" },
      network: { kind: "dit", patch: 4, width: 16, depth: 2, heads: 2, textDepth: 1, vocabulary: 64, captionTokens: 8 },
      pretrain: {
        teacher: { steps: 6, batch: 4, warmup: 2, checkpointEvery: 3, pictureEvery: 6 },
        autoencoder: { steps: 4, batch: 4, width: 8, downsample: 2, checkpointEvery: 2, pictureEvery: 4 },
        perceptual: { steps: 4, batch: 4, width: 8, checkpointEvery: 2, pictureEvery: 4 },
      },
      simulate: { count: 32, steps: 3, batch: 4, rowsPerShard: 8 },
      train: {
        steps: 8,
        batch: 4,
        warmup: 2,
        adversarialStart: 2,
        discriminatorDepth: 1,
        r1Every: 2,
        window: 2,
        stepsPerShard: 2,
        checkpointEvery: 4,
        pictureEvery: 8,
        distanceEvery: 4,
        distanceCount: 64,
      },
      evaluate: { count: 16, batch: 8 },
    },
  },
};
