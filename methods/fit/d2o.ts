/** Which settings of D2O fit each other and the teacher's network, and which then have no effect. */
import type { Rules } from "../../schemas/fit.ts";
import type { Asked } from "../method.ts";
import { depthFit, depthIdle } from "./depth.ts";

/** The settings that the rules read. */
interface D2oSettings {
  networks: ("perceptual" | "teacher" | "images")[];
  teacherDepth: number;
  r1Weight: number;
  augment: "none" | "diffaugment" | "ada";
}

type ThisAsked = Asked<D2oSettings>;

const looksThroughTeacher = ({ own }: ThisAsked): boolean => own.networks.includes("teacher");

/** What must hold of the settings of such a training. */
export const d2oFit: Rules<ThisAsked> = {
  fit: [
    depthFit(
      "teacherDepth",
      looksThroughTeacher,
      "the discriminator looks through the teacher's first blocks; name no more than there are",
    ),
  ],
  idle: [
    {
      settings: ["teacherDepth", "teacherNoise"],
      why: (asked) => (looksThroughTeacher(asked) ? undefined : "the discriminator does not look through the teacher (networks)"),
    },
    depthIdle("teacherDepth", looksThroughTeacher),
    { settings: ["r1Every", "r1On"], why: ({ own }) => (own.r1Weight > 0 ? undefined : "r1Weight is 0") },
    { settings: ["policy"], why: ({ own }) => (own.augment === "diffaugment" ? undefined : `augment is ${own.augment}`) },
    {
      settings: ["adaPipes", "adaTarget", "adaImages"],
      why: ({ own }) => (own.augment === "ada" ? undefined : `augment is ${own.augment}`),
    },
    { settings: ["ema"], why: () => "the student's moving average follows train.d2o.emaHalfLife and emaRamp" },
  ],
};
