/**
 * HiPA: low-rank adaptors alone make a teacher draw in one step. They learn the teacher's results, decoded, by a perceptual
 * distance with a spatial part and by what one-step samples lack: high frequencies, as edges and as Fourier components
 * (docs/METHODS.md 5).
 */
import * as z from "zod";
import { type Tensor, tf } from "../engine/tfjs.ts";
import { decodedImages } from "../models/codecs/decoded.ts";
import { conditionInputs, type DenoiserSpec } from "../models/denoiser.ts";
import { generate } from "../models/diffusion/one-step.ts";
import { tracedFeatureSets } from "../models/features/traced.ts";
import type { Parameters } from "../models/layers.ts";
import { squaredError } from "../models/losses/difference.ts";
import { featureDifference } from "../models/losses/distance.ts";
import { dists } from "../models/losses/dists.ts";
import { sobelEdges } from "../models/losses/edges.ts";
import { decibels, energyDifference, filtered, finestBandMask, highPassMask, ringMasks } from "../models/losses/frequency.ts";
import { type Terms, weighted } from "../models/losses/terms.ts";
import type { Rules } from "../schemas/fit.ts";
import { sidesOf } from "../schemas/images.ts";
import { count, fraction, rate, weight } from "../schemas/settings.ts";
import { adapterFit } from "./fit/adapter.ts";
import { type Asked, type Batch, type Job, type Kit as AnyKit, type Method, type Run, type Update, teacherOf } from "./method.ts";

// What no source that could be read tells is a setting here: all but that there are adaptors and these kinds of terms.
const settings = z.strictObject({
  rank: count.default(2), // of the adaptors; 16 on attention alone would give the paper's 3.3 million in Stable Diffusion 2
  alpha: rate.default(2), // what they add is multiplied by alpha / rank
  // Groups of the network's parameters, or patterns of their names: a low rank on all kernels but those of embeddings.
  targets: z.array(z.string().min(1)).min(1).default(["^(?!noise|condition|patch|text)"]),
  spatial: z.enum(["dists", "lpips"]).default("dists"), // the perceptual distance of images, over train.features
  spatialWeight: weight.default(1),
  texture: fraction.default(0.5), // DISTS: share of the means of maps; the rest is their structure
  highWeight: weight.default(0.1), // lambda, of both terms below; the follow-up's 1e-3 is too little to be seen here
  edgeWeight: weight.default(1), // Sobel's edge maps
  fourierWeight: weight.default(3), // Fourier components beyond the cut-off
  // energies: how much there is of high frequencies, wherever it stands; waves: each where the teacher has it, or rather not at all.
  fourier: z.enum(["waves", "energies"]).default("energies"),
  norm: z.enum(["absolute", "squared"]).default("absolute"), // of the differences of edges and waves
  filter: z.enum(["disc", "box"]).default("disc"), // what of the spectrum's middle is stopped
  cutoff: z.number().min(0).max(0.45).default(0.25), // its radius over the shorter side: 0.5 would be half a cycle a pixel
  latentWeight: weight.default(0), // plain squared difference of latents, which the paper does not name
});
type HipaSettings = z.infer<typeof settings>;
type Kit = AnyKit<HipaSettings>;

const isHigh = (own: HipaSettings): boolean => own.highWeight * (own.edgeWeight + own.fourierWeight) > 0;
const isFourier = (own: HipaSettings): boolean => own.highWeight * own.fourierWeight > 0;
const isWaves = (own: HipaSettings): boolean => isFourier(own) && own.fourier === "waves";
const isEdges = (own: HipaSettings): boolean => own.highWeight * own.edgeWeight > 0;

const loraOf = ({ rank, alpha, targets }: HipaSettings) => ({ lora: { rank, alpha, targets } });

const rules: Rules<Asked<HipaSettings>> = {
  fit: [
    { settings: ["targets", "network.kind"], why: (asked) => adapterFit().why({ ...asked, own: { adapter: loraOf(asked.own) } }) },
    {
      settings: ["spatialWeight", "highWeight", "latentWeight"],
      why: ({ own }) =>
        own.spatialWeight > 0 || own.latentWeight > 0 || isHigh(own)
          ? undefined
          : "nothing is left to learn from; give one of them a weight, of highWeight with edgeWeight or fourierWeight",
    },
  ],
  idle: [
    {
      settings: ["spatial"],
      why: ({ own }) => (own.spatialWeight > 0 ? undefined : "images are not compared perceptually (spatialWeight is 0)"),
    },
    {
      settings: ["texture"],
      why: ({ own }) =>
        own.spatialWeight > 0 && own.spatial === "dists" ? undefined : "it is of DISTS, which is not taken (spatial, spatialWeight)",
    },
    {
      settings: ["edgeWeight", "fourierWeight"],
      why: ({ own }) => (own.highWeight > 0 ? undefined : "nothing is asked of high frequencies (highWeight is 0)"),
    },
    {
      settings: ["fourier", "cutoff"],
      why: ({ own }) => (isFourier(own) ? undefined : "no filter is looked through (fourierWeight or highWeight is 0)"),
    },
    { settings: ["filter"], why: ({ own }) => (isWaves(own) ? undefined : "no waves are compared (fourier, fourierWeight, highWeight)") },
    { settings: ["norm"], why: ({ own }) => (isEdges(own) || isWaves(own) ? undefined : "no edges or waves are compared") },
  ],
};

export const method: Method<HipaSettings> = {
  name: "hipa",
  about: "low-rank adaptors alone, by perceptual and high-frequency losses of decoded images",
  source: "Zhang & Hooi, HiPA: Enabling One-Step Text-to-Image Diffusion Models via High-Frequency-Promoting Adaptation, 2023",
  makes: "student",
  settings,
  rules,
  needs: ({ spatialWeight }) => ({ rows: "triples", frozen: ["teacher", "codec", ...(spatialWeight > 0 ? ["features"] : [])] }),
  parts: ({ settings: own, optimiser }) => ({ student: { from: "teacher", train: loraOf(own), average: optimiser.ema } }),
  programs: (kit) => ({ step: update(kit) }),
  step,
  sampler: (_, { spec }) => ({ times: [(spec as DenoiserSpec).diffusion.sigmaMax], between: "ode", guidance: 1 }),
  figures: [
    {
      title: "Terms of the loss, unweighted",
      label: "loss",
      figures: { spatial: "perceptual", edges: "edges", fourier: "Fourier components", latent: "latents" },
      log: true,
    },
    { title: "Energy of the finest band of six against the teacher's", label: "dB", figures: { finest: "finest band" } },
  ],
};

/** The adaptors' update: of one step from noise against the teacher's result, both decoded. */
function update(kit: Kit): Update {
  const { settings: own, optimiser, subject } = kit;
  const spec = teacherOf({ subject });
  const image = { shape: [optimiser.batch, ...spec.shape] };
  const decode = decoderOf(kit);
  const [height, width] = sidesOf((subject.codec as NonNullable<typeof subject.codec>).imageSize);
  const finest = finestBandMask({ height, width });
  const differences = differencesOf(kit, { height, width });
  return {
    trains: "student",
    reads: ["codec", ...(own.spatialWeight > 0 ? ["features"] : [])],
    inputs: { noise: image, latent: image, ...conditionInputs(spec, optimiser.batch) },
    loss: (parameters, inputs, read) => {
      const { noise, latent, ...given } = inputs as Record<"noise" | "latent", Tensor>;
      const made = generate(spec, parameters, noise, given);
      const [images, targets] = [made, latent].map((of) => decode(read.codec as Parameters, of)) as [Tensor, Tensor];
      const { loss, metrics } = weighted({
        ...differences(images, targets, read.features ?? {}),
        ...(own.latentWeight > 0 && { latent: [squaredError(made, latent), own.latentWeight] }),
      });
      return { loss, metrics: { ...metrics, finest: decibels(images, targets, finest) } };
    },
  };
}

/** Images of normalised latents, by the frozen codec's parameters. */
function decoderOf({ subject: { codec, statistics, spec } }: Kit) {
  if (!codec || !statistics || !spec) throw new Error('Cannot look at images without role "codec"');
  return decodedImages({ codec, statistics, sigmaData: spec.diffusion.sigmaData });
}

/** The terms of the loss that compare images a with their targets b, [b, h, w, 3] in [-1, 1], with their weights. */
function differencesOf({ settings: own, subject }: Kit, sides: { height: number; width: number }) {
  const taps = tracedFeatureSets(subject.features ?? []);
  const size = { ...sides, cutoff: own.cutoff };
  const [mask, rings] = [highPassMask({ ...size, shape: own.filter }), ringMasks(size)];
  const apart = (difference: Tensor): Tensor => tf.mean(own.norm === "absolute" ? tf.abs(difference) : tf.square(difference));
  const spatial = (a: Tensor, b: Tensor, features: Parameters): Tensor => {
    const maps = (images: Tensor): Tensor[] => taps(features, images).flat();
    if (own.spatial === "lpips") return tf.mean(featureDifference(maps(a), maps(b)));
    const whole = (images: Tensor): Tensor[] => [tf.mul(tf.add(images, 1), 0.5), ...maps(images)]; // the image is DISTS's first map
    return tf.mean(dists(whole(a), whole(b), { texture: own.texture }));
  };
  return (a: Tensor, b: Tensor, features: Parameters): Terms => ({
    ...(own.spatialWeight > 0 && { spatial: [spatial(a, b, features), own.spatialWeight] }),
    ...(isEdges(own) && { edges: [apart(tf.sub(sobelEdges(a), sobelEdges(b))), own.highWeight * own.edgeWeight] }),
    ...(isFourier(own) && {
      fourier: [
        own.fourier === "waves" ? apart(filtered(tf.sub(a, b), mask)) : energyDifference(a, b, rings),
        own.highWeight * own.fourierWeight,
      ],
    }),
  });
}

function step({ noise, latent, conditions }: Batch, { optimiser: { batch } }: Job<HipaSettings>, run: Run) {
  return run("step", {
    noise: noise as Float32Array,
    latent: latent as Float32Array,
    ...conditions,
    keep: new Float32Array(batch).fill(1),
  });
}
