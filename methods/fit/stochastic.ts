/** Which settings of a consistency distillation by an SDE have an effect, and fit the teacher's network. */
import type { Rules } from "../../schemas/fit.ts";
import type { Asked } from "../method.ts";
import { depthFit, depthIdle } from "./depth.ts";

/** The settings that the rules read. */
interface StochasticSettings {
  eta: number;
  weighting: "uniform" | "snr";
  guidance: [number, number];
  guidanceInput: boolean;
  sampleGuidance: number;
  adversarialWeight: number;
  adversarialStart: number;
  discriminatorDepth: number;
}

type ThisAsked = Asked<StochasticSettings>;

const ofDiscriminator = ["adversarialStart", "discriminatorRate", "discriminatorNoise", "discriminatorRank", "discriminatorTargets"];
const plays = ({ own, optimiser }: ThisAsked): boolean => own.adversarialWeight > 0 && own.adversarialStart < optimiser.steps;

export const stochasticFit: Rules<ThisAsked> = {
  fit: [
    depthFit("discriminatorDepth", plays),
    {
      settings: ["adversarialStart", "steps"],
      why: (asked) =>
        asked.own.adversarialWeight > 0 && !plays(asked)
          ? "the discriminator never joins; lower adversarialStart, give more steps, or set adversarialWeight=0"
          : undefined,
      unasked: "warn",
    },
    {
      settings: ["sampleGuidance", "guidance"],
      why: ({ own: { guidanceInput, sampleGuidance, guidance } }) =>
        guidanceInput && (sampleGuidance < guidance[0] || sampleGuidance > guidance[1])
          ? "the student is never shown that scale; choose one in the range, or widen it"
          : undefined,
      unasked: "warn",
    },
  ],
  idle: [
    { settings: ["noise"], why: ({ own }) => (own.eta === 0 ? "the teacher's steps have no noise (eta is 0)" : undefined) },
    { settings: ["snrMost"], why: ({ own }) => (own.weighting === "snr" ? undefined : "levels weigh alike (weighting is uniform)") },
    {
      settings: ["guidance", "guidanceInput"],
      why: ({ isConditional }) => (isConditional ? undefined : "the teacher takes no conditions (network.condition is none)"),
    },
    {
      settings: ["sampleGuidance"],
      why: ({ own }) => (own.guidanceInput ? undefined : "the scale is no input of the student (guidanceInput is false)"),
    },
    {
      settings: [...ofDiscriminator, "discriminatorDepth"],
      why: ({ own }) => (own.adversarialWeight > 0 ? undefined : "there is no discriminator (adversarialWeight is 0)"),
    },
    depthIdle("discriminatorDepth", plays),
  ],
};
