/** One training, prepared: what is trained by which method on which rows, and what is made of the result. */
import type { AnyMethod } from "../../methods/registry.ts";
import type { Batch, Job, Role } from "../../methods/method.ts";
import type { Weights } from "../../engine/weights.ts";
import type { EngineSettings, TrainingSettings } from "../../schemas/settings.ts";
import type { InputArray } from "../../engine/program.ts";
import type { SamplerInputs } from "../../models/diffusion/sampling.ts";
import type { Figures } from "../../schemas/figures.ts";
import type { Identity } from "./identity.ts";
import type { Reader } from "./prepare/reader.ts";
import type { Measuring } from "./watch.ts";
import type { Lora } from "../runs/lora.ts";
import type { Push } from "../runs/mirror.ts";
import type { Vigil } from "../runs/vigil.ts";
import type { Share } from "../workers/threads.ts";

/** What a training asks of its trainer, wherever that runs. */
export interface Trainer {
  /** Takes one step; the batch's arrays are the worker's afterwards. Figures that are not shown may be missing from what it answers. */
  step: (batch: Batch, options?: { isShown?: boolean }) => Promise<Figures>;
  /** Whether all figures so far were finite, those that were not shown too. */
  isSound: () => Promise<boolean>;
  /** Samples of the product's EMA, or of its weights as they are. */
  sample: (inputs: SamplerInputs, of?: "average" | "network") => Promise<Float32Array>;
  /** Runs a program of the method that changes nothing. */
  look: (program: string, inputs: Record<string, InputArray>) => Promise<Record<string, InputArray>>;
  /** One set of one part: what is trained of it. */
  read: (role: Role, set: "network" | "average") => Promise<Weights>;
  /** How many numbers of a part are trained, and how many stay as they are. */
  sizes: (role: Role) => Promise<{ trained: number; frozen: number }>;
  /** All parameters of a part, of what is trained of it. */
  whole: (role: Role, trained: Weights) => Promise<Weights>;
  /** What of the product is a LoRA over which weights; undefined where it is none. */
  lora: (role: Role) => Promise<Omit<KeptLora, "trained"> | undefined>;
  save: () => Promise<Record<string, Weights>>;
  /** Takes what a checkpoint holds; the arrays are the worker's afterwards. */
  load: (sets: Record<string, Weights>) => Promise<void>;
  close: () => Promise<void>;
}

/** What a training by LoRA keeps, apart from the weights it is to be added to. */
export type KeptLora = Pick<Lora, "rank" | "alpha" | "base" | "trained">;

/** Who may end the reading of rows, and is told of a shard that is waited for. */
export type Follow = Pick<Vigil, "signal" | "onWait">;

export interface Training<Result> {
  /** Names it in events: "train", "teacher" ... */
  name: string;
  /** The run folder. */
  out: string;
  method: AnyMethod;
  job: Job<never>;
  /** Frozen networks that the method looks at, by role. */
  weights: Readonly<Record<Role, Weights>>;
  /** Parts of an earlier run to start from, by role. */
  start?: Readonly<Record<Role, Weights>>;
  /** The optimiser's and the recording's settings. */
  settings: TrainingSettings;
  /** The group of `settings`, to name in remedies: "train", "pretrain.teacher" ... */
  group: string;
  /** All that the run is a function of: a checkpoint of another one is refused. */
  identity: Identity;
  engine: EngineSettings;
  /** Threads of the trainer's engine, asked before each step. */
  threads: Share;
  /** Batches from a step on, in order: a pure function of the step. */
  batches: (fromStep: number, follow: Follow) => AsyncIterable<Batch>;
  /** Sends what stands in the run folder to where it lasts: after each checkpoint, before anything relies on that. */
  push?: Push | undefined;
  /** Of triples that may be made, and removed, meanwhile: tells their store how far it is. */
  reader?: Pick<Reader, "passed" | "end">;
  /** Writes what stands in the run folder beside the settings before the first step. Nothing is written there until this is called. */
  begin?: () => Promise<void>;
  /** Draws what there is to see after `step` steps into RUN/pictures. */
  picture?: (step: number, trainer: Trainer) => Promise<void>;
  measuring?: (trainer: Trainer) => Measuring;
  /** Writes what was made of the weights that are kept, and the LoRA in them where one was trained. */
  write: (weights: Weights, lora?: KeptLora) => Promise<Result>;
  /** Ends the workers that the preparation began. */
  close: () => Promise<void>;
}
