/**
 * Published schedulers (diffusers) as data: which times a walk of so many steps visits, at which noise levels, and how much noise it
 * starts from. What each of its steps does stands beside (published-rules.ts, published-multistep.ts).
 */
import type * as z from "zod";
import { Failure } from "../../schemas/failure.ts";
import { parsedJson } from "../../schemas/json.ts";
import { didYouMean } from "../../schemas/nearest.ts";
import { readConfig } from "../published/network.ts";
import {
  ancestralConfig,
  ddimConfig,
  ddpmConfig,
  dpmConfig,
  eulerConfig,
  flowConfig,
  lcmConfig,
  pndmConfig,
  tableConfig,
} from "./published-configs.ts";
import { type FlowConfig, flowSigmas } from "./published-flow.ts";
import { ancestral, dpm, euler, unwalked } from "./published-levels.ts";
import { flowRule } from "./published-rules.ts";
import { ddim, ddpm, lcm, pndm } from "./published-steps.ts";
import { checked, type OwnSchedule, type PublishedSchedule } from "./published-visits.ts";

type Row = (from: { json: object; file: string }) => OwnSchedule;

const row =
  <C>(config: z.ZodType<C>, schedule: (c: C) => OwnSchedule): Row =>
  (from) =>
    schedule(readConfig(config, from));

function flow(c: FlowConfig): OwnSchedule {
  return {
    prediction: "velocity",
    isDeterministic: !c.stochastic_sampling,
    ...(!c.stochastic_sampling && { rule: flowRule }),
    visits: (steps, given) => {
      const sigmas = flowSigmas(c, checked(steps, c), given);
      const timesteps = sigmas.slice(0, -1).map((sigma) => Math.fround(sigma * c.num_train_timesteps));
      return { timesteps, sigmas, initNoiseSigma: 1 };
    },
  };
}

/** First and last beta where configs name none, and how they lie between. */
const [NARROW, WIDE, LATENT] = [
  [0.0001, 0.02, "linear"],
  [0.00085, 0.012, "linear"],
  [0.00085, 0.012, "scaled_linear"],
] as const;

const rows: Record<string, Row> = {
  DDIMParallelScheduler: row(ddimConfig, ddim),
  DDIMScheduler: row(ddimConfig, ddim),
  DDPMParallelScheduler: row(ddpmConfig, ddpm),
  DDPMScheduler: row(ddpmConfig, ddpm),
  DEISMultistepScheduler: row(tableConfig(NARROW), unwalked(true)),
  DPMSolverMultistepScheduler: row(dpmConfig, dpm),
  DPMSolverSDEScheduler: row(tableConfig(WIDE), unwalked(false)),
  DPMSolverSinglestepScheduler: row(tableConfig(NARROW), unwalked(true)),
  EulerAncestralDiscreteScheduler: row(ancestralConfig, ancestral),
  EulerDiscreteScheduler: row(eulerConfig, euler),
  FlowMatchEulerDiscreteScheduler: row(flowConfig, flow),
  HeunDiscreteScheduler: row(tableConfig(WIDE), unwalked(true)),
  KDPM2AncestralDiscreteScheduler: row(tableConfig(WIDE), unwalked(false)),
  KDPM2DiscreteScheduler: row(tableConfig(WIDE), unwalked(true)),
  LCMScheduler: row(lcmConfig, lcm),
  LMSDiscreteScheduler: row(tableConfig(NARROW), unwalked(true)),
  PNDMScheduler: row(pndmConfig, pndm),
  SASolverScheduler: row(tableConfig(NARROW), unwalked(false)),
  TCDScheduler: row(tableConfig(LATENT), unwalked(false)),
  UniPCMultistepScheduler: row(tableConfig(NARROW), unwalked(true)),
};

/** The class names of all published schedulers that are understood. */
const scheduleClasses = Object.keys(rows);

/** The schedule of a scheduler_config.json. Throws a Failure that names file, key and value of what is not understood. */
export function publishedSchedule({ json, file }: { json: object; file: string }): PublishedSchedule {
  const className = String((json as { _class_name?: unknown })._class_name);
  const found = rows[className];
  if (found) return { className, ...found({ json, file }) };
  const nearest = didYouMean(className, scheduleClasses, `known are ${scheduleClasses.join(", ")}`);
  throw new Failure(
    `Cannot use ${file}: it is of the class "${className}", which is not known here; ${nearest}. Where its network was trained ` +
      "with betas, write the config of a DDIMScheduler with these there.",
  );
}

/**
 * The object of a scheduler_config.json's text, in which Python may have written an infinity, which JSON has not: keys with such a
 * value are left out, for it is their default. Throws a Failure where the text is no object.
 */
export function scheduleJson({ text, file }: { text: string; file: string }): object {
  const json = parsedJson(
    text.replace(/("(?:[^"\\]|\\.)*")|(-?)Infinity/g, (_, quoted: string | undefined, sign) => quoted ?? `${sign}1e999`),
  );
  if (typeof json !== "object" || json === null) {
    throw new Failure(`Cannot read ${file}: it is not a JSON object. Name a folder that a library's save_pretrained wrote.`);
  }
  return Object.fromEntries(Object.entries(json).filter(([, value]) => Math.abs(Number(value)) !== Number.POSITIVE_INFINITY));
}
