/** Which settings of a self-cooperative training fit each other and the teacher's network. */
import type { Adapter } from "../../models/training/adapters.ts";
import type { Rules } from "../../schemas/fit.ts";
import type { Asked } from "../method.ts";
import { depthFit, depthIdle } from "./depth.ts";
import { adapterFit } from "./adapter.ts";

/** The settings that the rules read. */
interface CooperativeSettings {
  from: "teacher" | "scratch";
  adapt: "none" | "v" | "v-zero";
  vSteps: number;
  zeroSteps: number;
  adversarial: "cooperative" | "data";
  adversarialWeight: number;
  consistencyWeight: number;
  consistencyLoss: "perceptual" | "squared";
  anchorWeight: number;
  discriminatorDepth: number;
  r1Weight: number;
  adapter: Adapter;
}

type ThisAsked = Asked<CooperativeSettings>;

const adapts = ({ own }: ThisAsked): boolean => own.adapt !== "none" && own.from === "teacher";
const plays = ({ own }: ThisAsked): boolean => own.adversarialWeight > 0;

/** What must hold of the settings of such a training. */
export const cooperativeFit: Rules<ThisAsked> = {
  fit: [
    {
      settings: ["adversarialWeight", "consistencyWeight", "anchorWeight"],
      why: ({ own }) =>
        own.adversarialWeight + own.consistencyWeight + own.anchorWeight > 0
          ? undefined
          : "nothing is left to learn from; give one of them a weight",
    },
    {
      settings: ["vSteps", "zeroSteps", "steps"],
      why: (asked) => {
        const { vSteps, zeroSteps, adapt } = asked.own;
        return adapts(asked) && vSteps + (adapt === "v-zero" ? zeroSteps : 0) >= asked.optimiser.steps
          ? "the adaptation alone takes all steps; give it fewer, or more steps in all"
          : undefined;
      },
      unasked: "warn",
    },
    depthFit("discriminatorDepth", plays),
    {
      settings: ["adapter", "from"],
      why: ({ own }) =>
        own.from === "scratch" && own.adapter !== "all"
          ? "a part alone of a network that knows nothing learns nothing; set adapter=all, or from=teacher"
          : undefined,
    },
    adapterFit(),
  ],
  idle: [
    {
      settings: ["vSteps", "zeroSteps"],
      why: (asked) =>
        adapts(asked) ? undefined : asked.own.adapt === "none" ? "adapt is none" : "a fresh student has nothing to adapt (from is scratch)",
    },
    { settings: ["zeroSteps"], why: ({ own }) => (own.adapt === "v" ? "the schedule stays (adapt is v)" : undefined) },
    {
      settings: ["adversarial", "cooperation", "averageLogits", "discriminatorRate", "discriminatorDepth", "r1Weight", "r1Every"],
      why: (asked) => (plays(asked) ? undefined : "there is no discriminator (adversarialWeight is 0)"),
    },
    { settings: ["r1Every"], why: ({ own }) => (own.r1Weight > 0 ? undefined : "r1Weight is 0") },
    {
      settings: ["cooperation"],
      why: ({ own }) => (own.adversarial === "data" ? "data are the real side (adversarial is data)" : undefined),
    },
    depthIdle("discriminatorDepth", plays),
    {
      settings: ["consistencyLoss", "consistencyStep", "consistencyMost", "augment"],
      why: ({ own }) => (own.consistencyWeight > 0 ? undefined : "consistencyWeight is 0"),
    },
    {
      settings: ["augment"],
      why: ({ own }) => (own.consistencyLoss === "squared" ? "nothing is compared perceptually (consistencyLoss is squared)" : undefined),
    },
    { settings: ["anchorMost"], why: ({ own }) => (own.anchorWeight > 0 ? undefined : "anchorWeight is 0") },
  ],
};
