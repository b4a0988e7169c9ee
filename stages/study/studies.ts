/** Studies as data: each trains the same student several times, and its variants say what differs. Add one here. */
import type { TrainSettings } from "../../schemas/settings.ts";

export interface Variant {
  /** Names its folder, too. */
  name: string;
  about: string;
  /** The method whose recipe and settings it takes, where that is not the study's. */
  method?: string;
  /** The Fréchet distance that the paper prints for it; what it was measured on is in the study's `source`. */
  published?: number;
  /** Of the method's own settings, over those of the command line. */
  changes: Readonly<Record<string, unknown>>;
  /** Of the settings that all methods share, too. */
  training?: Partial<TrainSettings>;
  /** Only where the reference is a latent store, whose images the discriminator then sees. */
  needsImages?: boolean;
}

export interface Study {
  name: string;
  about: string;
  /** The method whose settings the variants change, but for those that name another. */
  method: string;
  /** Numbers of network calls at which students are measured, those of them that a student was made for; as it says by itself without. */
  calls?: readonly number[];
  /** Where the published numbers come from. */
  source?: string;
  variants: readonly Variant[];
}

const poster = "Kang et al. 2024 (Diffusion2GAN, poster): FID on zero-shot COCO-2014, Stable Diffusion 1.5";

/** Regression alone. */
const alone = { adversarialWeight: 0, imageShare: 0 };

/** Parts of the discriminator, each as it is when left out. */
const leftOut = {
  noiseCondition: false,
  r1Weight: 0,
  scales: [1],
  mismatch: 0,
  discriminatorNoise: [0, 0] as [number, number],
  imageShare: 0,
};

/** Heads over frozen features that see real images and learn fast: what the presets take. */
const featureDiscriminator = { discriminator: "features", imageShare: 1, adversarialWeight: 2, discriminatorRate: 2e-3 } as const;

/** A discriminator that starts as the teacher, at a weight and rate that it stands. */
const trunk = { discriminator: "teacher", adversarialWeight: 0.2, discriminatorRate: 1e-4 } as const;

/** The same with these of its parts, as the settings of the command line have them, and without the others. */
function discriminatorWith(...parts: (keyof typeof leftOut)[]): Variant["changes"] {
  const without: Partial<typeof leftOut> = { ...leftOut };
  for (const part of parts) delete without[part];
  return { ...trunk, ...without };
}

/** Heads over frozen features at a weight, with this share of images among their real rows. */
function balance(adversarialWeight: number, imageShare: number): Variant {
  const about = `weight ${adversarialWeight}, ${imageShare * 100} % of the real rows are images`;
  return {
    name: `weight-${100 * adversarialWeight}-images-${100 * imageShare}`,
    about,
    changes: { ...featureDiscriminator, adversarialWeight, imageShare },
    needsImages: imageShare > 0,
  };
}

/** A real side of YOSO's game. The last step is measured, whatever became of it. */
function realSide(adversarial: "cooperative" | "data", about: string): Variant {
  return { name: adversarial, about, changes: { adversarial }, training: { distanceRecall: true, keep: "last" }, needsImages: true };
}

/** HiPA's terms of high frequencies, each by itself and both. */
const noEdges = { edgeWeight: 0 };
const noFourier = { fourierWeight: 0 };

export const studies: readonly Study[] = [
  {
    name: "regression",
    about: "the loss between student and teacher alone, without a discriminator",
    method: "diffusion2gan",
    source: poster,
    variants: [
      {
        name: "squared",
        about: "squared error of the latents",
        published: 110.55,
        changes: { ...alone, perceptualWeight: 0, latentWeight: 1, latentLoss: "squared" },
      },
      {
        name: "huber",
        about: "pseudo-Huber of the latents",
        published: 87.6,
        changes: { ...alone, perceptualWeight: 0, latentWeight: 1, latentLoss: "huber" },
      },
      {
        name: "perceptual",
        about: "LatentLPIPS: features of the latents as they are",
        published: 67.17,
        changes: { ...alone, perceptualWeight: 1, latentWeight: 0, augment: false },
      },
      {
        name: "ensemble",
        about: "E-LatentLPIPS: features under random transforms",
        published: 22.95,
        changes: { ...alone, perceptualWeight: 1, latentWeight: 0, augment: true },
      },
    ],
  },
  {
    name: "discriminator",
    about: "the discriminator built up part by part over the regression of the settings",
    method: "diffusion2gan",
    source: poster,
    variants: [
      { name: "none", about: "regression alone", published: 14.72, changes: alone },
      { name: "diffusion", about: "a discriminator that starts as the teacher", published: 12.04, changes: discriminatorWith() },
      { name: "noise", about: "+ it sees the triple's noise", published: 11.97, changes: discriminatorWith("noiseCondition") },
      { name: "r1", about: "+ R1 on a single sample", published: 10.6, changes: discriminatorWith("noiseCondition", "r1Weight") },
      {
        name: "multi-scale",
        about: "+ inputs and outputs at several scales",
        published: 9.58,
        changes: discriminatorWith("noiseCondition", "r1Weight", "scales"),
      },
      {
        name: "mix-and-match",
        about: "+ real latents of other conditions among the fakes",
        published: 9.45,
        changes: discriminatorWith("noiseCondition", "r1Weight", "scales", "mismatch"),
      },
      {
        name: "noised",
        about: "+ it sees latents under noise (LADD's, not in the paper)",
        changes: discriminatorWith("noiseCondition", "r1Weight", "scales", "mismatch", "discriminatorNoise"),
      },
      {
        name: "real-images",
        about: "+ real images among the real latents (D2O's, not in the paper)",
        changes: discriminatorWith("noiseCondition", "r1Weight", "scales", "mismatch", "discriminatorNoise", "imageShare"),
        needsImages: true,
      },
      {
        name: "features",
        about: "instead: heads over frozen features, and real images alone (Projected GAN, D2O; the presets' recipe)",
        changes: featureDiscriminator,
        needsImages: true,
      },
    ],
  },
  {
    name: "balance",
    about: "how much heads over frozen features weigh, and what they take for real: the teacher's latents or images",
    method: "diffusion2gan",
    variants: [balance(0.5, 0.5), balance(2, 0), balance(2, 0.5), balance(2, 1), balance(8, 1)],
  },
  {
    name: "cooperation",
    about: "what YOSO's discriminator takes for real, and what becomes of the samples' recall on the way",
    method: "yoso",
    variants: [
      realSide("cooperative", "the student's own predictions from less noise"),
      realSide("data", "the data (in the paper CIFAR-10's training fell apart so)"),
    ],
  },
  {
    name: "high-frequencies",
    about: "what a loss on high frequencies adds to the perceptual one, for adaptors alone",
    method: "hipa",
    variants: [
      { name: "spatial", about: "the perceptual distance alone", changes: { highWeight: 0 } },
      { name: "edges", about: "+ Sobel's edges", changes: noFourier },
      { name: "waves", about: "+ what a high-pass filter lets through", changes: { ...noEdges, fourier: "waves" } },
      {
        name: "energies",
        about: "+ how much there is of high frequencies, wherever it stands",
        changes: { ...noEdges, fourier: "energies" },
      },
      { name: "edges-waves", about: "+ edges and waves", changes: { fourier: "waves" } },
      { name: "edges-energies", about: "+ edges and energies", changes: { fourier: "energies" } },
    ],
  },
];
