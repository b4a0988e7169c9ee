/** Which settings of a training by segments of the time have an effect, and fit the teacher's network. */
import type { Rules } from "../../schemas/fit.ts";
import type { Asked } from "../method.ts";
import { depthFit, depthIdle } from "./depth.ts";

/** The settings that the rules read. */
interface SegmentSettings {
  start: "denoise" | "single" | "images" | "trajectory";
  secondPart: number;
  lastPart: number;
  matchingWeight: number;
  adversarialWeight: number;
  discriminatorDepth: number;
}

type ThisAsked = Asked<SegmentSettings>;

const ofScore = ["scoreRate", "scoreUpdates"];
const ofDiscriminator = ["discriminatorRate", "discriminatorDepth", "discriminatorNoise", "realSteps"];
const plays = ({ own }: ThisAsked): boolean => own.lastPart > 0 && own.adversarialWeight > 0;

export const segmentsFit: Rules<ThisAsked> = {
  fit: [
    depthFit("discriminatorDepth", plays),
    {
      settings: ["lastPart", "matchingWeight", "adversarialWeight"],
      why: ({ own }) =>
        own.lastPart > 0 && own.matchingWeight + own.adversarialWeight === 0
          ? "the last stage has nothing of its own; give one of them a weight, or set lastPart=0"
          : undefined,
    },
  ],
  idle: [
    {
      settings: ["guidance"],
      why: ({ isConditional }) => (isConditional ? undefined : "the teacher takes no conditions (network.condition is none)"),
    },
    { settings: ["skip", "skipSteps"], why: ({ own }) => (own.secondPart === 1 ? "there is no first stage (secondPart is 1)" : undefined) },
    {
      settings: ["skip", "skipSteps", "solver", "teacherSteps", "ownSteps"],
      why: ({ own }) => (own.start === "trajectory" ? "the store's states decide (start is trajectory)" : undefined),
    },
    { settings: ["ownSteps"], why: ({ own }) => (own.start === "images" ? "states are those of images (start is images)" : undefined) },
    {
      settings: ["ownSteps", "teacherSteps"],
      why: ({ own }) => (own.secondPart + own.lastPart === 0 ? "there is no second stage (secondPart is 0)" : undefined),
    },
    {
      settings: ["matchingWeight", "adversarialWeight", ...ofScore, ...ofDiscriminator],
      why: ({ own }) => (own.lastPart === 0 ? "there is no last stage (lastPart is 0)" : undefined),
    },
    { settings: ofScore, why: ({ own }) => (own.matchingWeight === 0 ? "no distributions are matched (matchingWeight is 0)" : undefined) },
    {
      settings: ofDiscriminator,
      why: ({ own }) => (own.adversarialWeight === 0 ? "there is no discriminator (adversarialWeight is 0)" : undefined),
    },
    depthIdle("discriminatorDepth", plays),
    {
      settings: ["realSteps"],
      why: (asked) =>
        plays(asked) && (asked.own.start === "images" || asked.own.start === "trajectory") ? "what is real is given (start)" : undefined,
    },
  ],
};
