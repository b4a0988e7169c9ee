/** Rules of settings that no family, encoder, codec or method owns alone. */
import { methodNamed, ownSettings } from "../methods/registry.ts";
import type { Rules } from "../schemas/fit.ts";
import { mostShards } from "../schemas/manifest.ts";
import type { Settings, TrainingSettings, WatchSettings } from "../schemas/settings.ts";
import type { Part } from "./parts.ts";

/** The settings of one training. */
export type AnyTraining = TrainingSettings & Partial<WatchSettings>;

/** Rules of every training, whatever its method. */
export function trainingRules(group: string): Rules<AnyTraining> {
  const at = (...names: string[]): string[] => names.map((name) => `${group}.${name}`);
  return {
    fit: [
      {
        settings: at("batch", "accumulate"),
        why: ({ batch, accumulate }) =>
          batch % accumulate === 0 ? undefined : "a batch is taken in equal micro-batches; set accumulate to a divisor of batch",
      },
      {
        settings: at("warmup", "steps"),
        why: ({ warmup, steps }) => (warmup > steps ? "the learning rate never rises to what is set; warm up in fewer steps" : undefined),
        unasked: "warn",
      },
      {
        settings: at("keep", "distanceEvery"),
        why: ({ keep, distanceEvery }) =>
          keep === "best" && distanceEvery === 0 ? "the best step is known by its distance; set distanceEvery, or keep=last" : undefined,
        unasked: "pass",
      },
    ],
    idle: [
      {
        settings: at("patience", "distanceCount", "distanceFeatures", "distanceRecall"),
        why: ({ distanceEvery }) => (distanceEvery === 0 ? `no distance is measured on the way (${group}.distanceEvery is 0)` : undefined),
      },
    ],
  };
}

interface Looked {
  settings: Settings;
  parts: readonly Part[];
}

/** What a method needs, which a rule about networks and images asks. */
function needsOf({ settings: { train } }: Looked) {
  const method = methodNamed(train.method);
  return method.needs(ownSettings(method, train), train);
}

const makes = ({ parts }: Looked, ...wanted: Part[]): boolean => wanted.every((part) => parts.includes(part));

/** Rules of settings of several owners. */
export const commonRules: Rules<Looked> = {
  fit: [
    {
      settings: ["diffusion.sigmaMin", "diffusion.sigmaMax"],
      why: (looked) =>
        makes(looked, "teacher") && looked.settings.diffusion.sigmaMin >= looked.settings.diffusion.sigmaMax
          ? "noise levels go from the greater down to the lesser; set a lesser sigmaMin"
          : undefined,
    },
    {
      settings: ["train.method", "train.perceptual"],
      why: (looked) => {
        if (!makes(looked, "train") || looked.settings.train.perceptual || makes(looked, "perceptual")) return undefined;
        const { frozen, remedies = {} } = needsOf(looked);
        if (!frozen.includes("perceptual")) return undefined;
        const remedy = remedies.perceptual === undefined ? "" : `, or ${remedies.perceptual}`;
        return `there is no perceptual network to look through; name a run of \`pretrain perceptual\` in train.perceptual${remedy}`;
      },
    },
    {
      settings: ["train.stepsPerShard", "train.steps", "simulate.count", "simulate.rowsPerShard"],
      why: (looked) => {
        if (!makes(looked, "encode", "simulate", "train")) return undefined;
        const { train, simulate } = looked.settings;
        const shards = Math.ceil(simulate.count / simulate.rowsPerShard);
        const seen = train.firstShards + Math.floor((train.steps - 1) / train.stepsPerShard);
        return train.once || seen >= shards
          ? undefined
          : `of ${shards} shards only ${seen} would ever be drawn from; lower stepsPerShard, or simulate less`;
      },
      isWaste: true,
    },
    {
      settings: ["simulate.count", "simulate.rowsPerShard"],
      why: (looked) => {
        const { count, rowsPerShard } = looked.settings.simulate;
        const shards = Math.ceil(count / rowsPerShard);
        return makes(looked, "simulate") && shards > mostShards
          ? `these are ${shards} shards, and a folder holds ${mostShards} at most; make fewer triples, or put more into a shard`
          : undefined;
      },
    },
    {
      settings: ["simulate.trajectory", "simulate.steps"],
      why: (looked) => {
        const { trajectory = [], steps } = looked.settings.simulate;
        return makes(looked, "simulate") && trajectory.some((step) => step >= steps)
          ? `the solver's steps are 0 to ${steps - 1}, and the state after the last is the result; keep states before these`
          : undefined;
      },
    },
    {
      settings: ["seed", "evaluate.seeds"],
      why: (looked) =>
        makes(looked, "evaluate") && looked.settings.seed + (looked.settings.evaluate.seeds - 1) > Number.MAX_SAFE_INTEGER
          ? "the last of these seeds would not be below 2^53; choose a lesser one"
          : undefined,
    },
  ],
  idle: [
    {
      settings: ["train.images"],
      why: (looked) => {
        if (!makes(looked, "train")) return undefined;
        const { images, rows } = needsOf(looked);
        const takes = images !== undefined || rows === "latents" || rows === "raw";
        return takes ? undefined : `${looked.settings.train.method} shows no real images with these settings`;
      },
    },
    {
      settings: ["train.perceptual"],
      why: (looked) => {
        if (!makes(looked, "train")) return undefined;
        const { frozen, uses = [] } = needsOf(looked);
        return [...frozen, ...uses].includes("perceptual")
          ? undefined
          : `${looked.settings.train.method} looks through no perceptual network`;
      },
    },
    {
      settings: ["train.features"],
      why: (looked) => {
        if (!makes(looked, "train")) return undefined;
        const { frozen, uses = [] } = needsOf(looked);
        return [...frozen, ...uses].includes("features")
          ? undefined
          : `${looked.settings.train.method} looks at no decoded images through a network`;
      },
    },
    {
      settings: ["engine.precision"],
      why: ({ settings: { engine } }) =>
        engine.precision === "half" && !["auto", "webgpu", "cuda"].includes(engine.device)
          ? `it is for webgpu and cuda (engine.device is ${engine.device})`
          : undefined,
    },
  ],
};
