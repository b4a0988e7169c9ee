/** Which settings of a training against a discriminator fit each other, the batch and the teacher's network. */
import { trunkLimits } from "../../models/families/registry.ts";
import type { Rules } from "../../schemas/fit.ts";
import type { Asked } from "../method.ts";
import { depthFit, depthIdle } from "./depth.ts";

/** The settings that the rules read. */
interface AdversarialSettings {
  perceptualWeight: number;
  latentWeight: number;
  adversarialWeight: number;
  adversarialStart: number;
  imageShare: number;
  sharpen: number;
  discriminator: "teacher" | "features" | "both";
  discriminatorDepth: number;
  scales: number[];
  mismatch: number;
  r1Weight: number;
}

type ThisAsked = Asked<AdversarialSettings>;

/** The settings that only a discriminator reads, and those that only one on the teacher's network does. */
const ofTrunk = ["discriminatorDepth", "noiseCondition", "discriminatorNoise", "scales"] as const;
const ofDiscriminator = [
  ...["imageShare", "adversarialStart", "sharpen", "sharpenPart", "discriminatorRate", "discriminator", "mismatch", "r1Weight", "r1Every"],
  ...ofTrunk,
];
const plays = ({ own }: ThisAsked): boolean => own.adversarialWeight > 0;
const joins = (asked: ThisAsked): boolean => plays(asked) && asked.own.adversarialStart < asked.optimiser.steps;
const hasTrunk = (asked: ThisAsked): boolean => joins(asked) && asked.own.discriminator !== "features";

/** What must hold of the settings of such a training. */
export const adversarialFit: Rules<ThisAsked> = {
  fit: [
    {
      settings: ["scales", "network.patch", "images.size"],
      why: (asked) => scalesWhy(asked, "network.patch"),
    },
    {
      settings: ["scales", "network.multipliers"],
      why: (asked) => scalesWhy(asked, "network.multipliers"),
    },
    depthFit("discriminatorDepth", hasTrunk),
    {
      settings: ["perceptualWeight", "latentWeight", "adversarialWeight"],
      why: ({ own }) =>
        own.perceptualWeight + own.latentWeight + own.adversarialWeight > 0
          ? undefined
          : "nothing is left to learn from; give one of them a weight",
    },
    {
      settings: ["adversarialStart", "steps"],
      why: (asked) =>
        plays(asked) && asked.own.adversarialStart >= asked.optimiser.steps
          ? "the discriminator never joins; lower adversarialStart, give more steps, or set adversarialWeight=0"
          : undefined,
      unasked: "warn",
    },
    {
      settings: ["mismatch", "batch", "accumulate"],
      why: (asked) =>
        plays(asked) && asked.own.mismatch > 0 && asked.optimiser.batch / asked.optimiser.accumulate < 2
          ? "a mismatched row takes another row's latent, and there is none; take two rows at least, or set mismatch=0"
          : undefined,
      unasked: "warn",
    },
    {
      settings: ["imageShare", "batch"],
      why: (asked) =>
        plays(asked) && asked.hasImages && asked.own.imageShare > 0 && Math.round(asked.optimiser.batch * asked.own.imageShare) === 0
          ? "that share of a batch is no whole image; raise one of them, or set imageShare=0"
          : undefined,
      unasked: "warn",
    },
  ],
  idle: [
    {
      settings: ofDiscriminator,
      why: (asked) => (plays(asked) ? undefined : "there is no discriminator (adversarialWeight is 0)"),
    },
    {
      settings: ofTrunk,
      why: (asked) => (joins(asked) && !hasTrunk(asked) ? "heads over frozen features judge (discriminator is features)" : undefined),
    },
    depthIdle("discriminatorDepth", hasTrunk),
    {
      settings: ["augment"],
      why: ({ own }) => (own.perceptualWeight > 0 ? undefined : "nothing is compared perceptually (perceptualWeight is 0)"),
    },
    { settings: ["latentLoss"], why: ({ own }) => (own.latentWeight > 0 ? undefined : "latentWeight is 0") },
    { settings: ["r1Every"], why: ({ own }) => (own.r1Weight > 0 ? undefined : "r1Weight is 0") },
    { settings: ["sharpenPart"], why: ({ own }) => (own.sharpen === 1 ? "sharpen is 1" : undefined) },
    {
      settings: ["imageShare"],
      why: (asked) => (plays(asked) && !asked.hasImages ? "there are no real images to show (train.images is not set)" : undefined),
    },
  ],
};

/** Why one of the discriminator's scales is impossible, where the setting of that name decides it. */
function scalesWhy(asked: ThisAsked, setting: string): string | undefined {
  const limits = hasTrunk(asked) ? trunkLimits(asked.planned) : undefined;
  if (limits?.setting !== setting) return undefined;
  return asked.own.scales.map(limits.why).find((why) => why !== undefined);
}
