/**
 * What a method is: how one network is trained, by which paper. A method is one file in this folder that exports `method`,
 * and one recipe of the same name in recipes/; nothing else names it. See docs/ADD-A-METHOD.md.
 */
import type { InputArray, ProgramSpec } from "../engine/program.ts";
import type { Tensor } from "../engine/tfjs.ts";
import type { Weights } from "../engine/weights.ts";
import type { AutoencoderConfig } from "../models/codecs/autoencoder.ts";
import type { CodecDescription } from "../models/codecs/codec.ts";
import type { ConditionBag } from "../models/conditions.ts";
import type { DenoiserSpec } from "../models/denoiser.ts";
import type { SolverPlan } from "../models/diffusion/sampler-plan.ts";
import type { FeatureDescription } from "../models/features/network.ts";
import type { Parameters } from "../models/layers.ts";
import type { PerceptualConfig } from "../models/losses/perceptual.ts";
import type { Adapter } from "../models/training/adapters.ts";
import type { AdamConfig } from "../models/training/optimiser.ts";
import type { FigureGroup, Figures, Rule } from "../schemas/figures.ts";
import type { PlannedNetwork, Rules } from "../schemas/fit.ts";
import type { ImageTokenizerConfig, PriorSpec, Sampler } from "../schemas/model.ts";
import type { OptimiserSettings, OwnSettings, Settings, SimulateSettings } from "../schemas/settings.ts";
import type { Statistics } from "../store/records/statistics.ts";

/** The part that a network plays in a training: "student", "discriminator", "teacher", "perceptual" ... */
export type Role = string;

/** What a method makes: a student of a teacher, or one of the networks that `pretrain` makes from a latent store. */
export type Product = "student" | "teacher" | "autoencoder" | "perceptual" | "tokenizer" | "prior";

/** The networks a training is about, as plain data: what the trainer's worker is told of them. */
export interface Subject {
  /** Of the teacher, and so of its student where `student` says nothing else. */
  spec?: DenoiserSpec;
  /** Of the student, where the method gives it another network or parameterisation than the teacher's (`Method.student`). */
  student?: DenoiserSpec;
  /** Mean and standard deviation of the data by channel, as the teacher takes them: 0 and sigmaData, but of a constant channel. */
  moments?: { mean: readonly number[]; std: readonly number[] };
  /** Noise levels sigma of the teacher's states that the store keeps, falling: those of `Batch.states`. */
  trajectory?: readonly number[];
  /** Of the teacher's latents: what role "codec" decodes by (models/codecs/decoded.ts), after their normalisation is undone. */
  codec?: CodecDescription;
  statistics?: Statistics;
  /** Of the image networks whose parameters together are role "features" (models/features/traced.ts). */
  features?: readonly FeatureDescription[];
  /** Of the perceptual network: the one in training, or a frozen one to look through. */
  perceptual?: PerceptualConfig;
  autoencoder?: { config: AutoencoderConfig; imageSize: number };
  /** Of the image tokenizer: the one in training, or a frozen one whose codes are read. */
  imageTokenizer?: ImageTokenizerConfig;
  /** Of the prior over an image tokenizer's tokens. */
  prior?: PriorSpec;
  /** How a teacher's samples are drawn on the way. */
  plan?: SolverPlan;
}

/** The specification of the teacher, or of the denoiser in training: every training that is about one is told it. */
export const teacherOf = ({ subject }: { subject: Subject }): DenoiserSpec => subject.spec as DenoiserSpec;

/** The specification of the student: its teacher's, unless the method gives it another. */
export const studentOf = ({ subject }: { subject: Subject }): DenoiserSpec => (subject.student ?? subject.spec) as DenoiserSpec;

/** One training: the method's own settings, the optimiser's, and the networks it is about. */
export interface Job<S> {
  settings: S;
  optimiser: OptimiserSettings;
  seed: number;
  subject: Subject;
}

/** What a method wants to be given. */
export interface Needs {
  /**
   * What a step's rows are: a teacher's triples, images' latents (normalised, or raw where no teacher takes them), images'
   * tokens, or nothing but conditions. A student's latents are those of the store in train.images.
   */
  rows: "triples" | "latents" | "raw" | "tokens" | "none";
  /** True where triples must keep the teacher's states on the way (`simulate.trajectory`), which steps then find in `Batch.states`. */
  trajectory?: boolean;
  /** Real images a step, of the store in train.images where that is set, and the first step that sees them. */
  images?: { rows: number; fromStep: number };
  /** Evaluations of the teacher that a row of a step takes on average; none without it. */
  teacherCalls?: number;
  /** Frozen networks it cannot do without: "teacher", "perceptual", "codec", "features" (those of train.features) ... */
  frozen: readonly Role[];
  /** Frozen networks it makes use of where they are given. */
  uses?: readonly Role[];
  /** What else helps where a frozen network is missing, by role: the end of a sentence after "or". */
  remedies?: Readonly<Record<Role, string>>;
}

/** A network in training. */
export interface Part {
  /** Its weights at the first step: those of a frozen network that is given, or what the function makes. */
  from: Role | (() => Weights);
  /** All parameters, some of them, or low-rank additions to some. */
  train: Adapter;
  /** Decay of the exponential moving average of what is trained; none is kept without it. */
  average?: number;
  /** The half-life of that average is this share of the steps so far at most (Karras et al. 2022: 0.05); it rises otherwise without it. */
  ramp?: number;
  /** Decay of a second one, constant from the first step, which losses read as role "ROLE.target"; none is kept without it. */
  target?: number;
}

/** What `Part` and `Program` are made from, in the trainer's worker. */
export interface Kit<S> extends Job<S> {
  /** Weights of the frozen networks that are given. */
  weights: Readonly<Record<Role, Weights>>;
}

export type Inputs = ProgramSpec["inputs"];

/** One update of one part by the gradient of a loss. */
export interface Update {
  trains: Role;
  /** Networks that the loss looks at and does not change: frozen ones, other parts as they are, and targets ("student.target"). */
  reads?: readonly Role[];
  inputs: Inputs;
  /** Of a part that learns otherwise than `optimiser` of the job says. */
  optimiser?: AdamConfig & Pick<OptimiserSettings, "learningRate" | "warmup" | "decay" | "steps">;
  /** Rows of its batch, which may be taken in micro-batches; those of the job unless told. */
  batch?: number;
  /** Tensors [batch, ...] that it leaves on the device for the updates which take them, by name. */
  leaves?: Readonly<Record<string, number[]>>;
  /** Names of left tensors that come to `loss` among the inputs. */
  takes?: readonly string[];
  loss: (parameters: Parameters, inputs: Record<string, Tensor>, read: Record<Role, Parameters>) => Losses;
}

export interface Losses {
  loss: Tensor;
  /** Scalars to be recorded. */
  metrics: Parameters;
  left?: Parameters;
}

/** A computation that changes nothing, such as a round trip to look at; over the EMA of the parts it reads. */
export interface Look {
  reads: readonly Role[];
  inputs: Inputs;
  outputs: (read: Record<Role, Parameters>, inputs: Record<string, Tensor>) => Record<string, Tensor>;
}

export type Program = Update | Look;

/** The rows of one step, in this thread's memory. */
export interface Batch {
  step: number;
  /** Unit noise and latents, each [batch * h * w * c]; of triples the latents are the teacher's. */
  noise?: Float32Array;
  latent?: Float32Array;
  /** Images' tokens [batch * n]. */
  tokens?: Int32Array;
  /** The teacher's states x = clean + sigma epsilon on its way to `latent`, each [batch * h * w * c], at `Subject.trajectory`. */
  states?: readonly Float32Array[];
  conditions: ConditionBag;
  /** Real images' latents [rows * h * w * c] with their conditions. */
  image?: { latent: Float32Array; conditions: ConditionBag };
}

/**
 * Runs a program by name and answers its scalars: an update, or a look, which changes nothing. `updates` counts those that the
 * update's part had before, where they are not one a step. On a GPU there are scalars only of steps whose figures somebody is shown:
 * nothing but figures may follow from them.
 */
export type Run = (program: string, inputs: Record<string, InputArray>, options?: { updates?: number }) => Promise<Figures>;

/** One part of a method's work, in order: what is made is the teacher of the phases after it. */
export type Phase<S> =
  | { name: string; simulate: Partial<SimulateSettings> }
  | { name: string; train: Partial<S>; optimiser?: Partial<OptimiserSettings> };

/** A training as it was asked for, before anything is opened: what a method's rules of its settings look at. */
export interface Asked<S> {
  own: S;
  optimiser: OptimiserSettings;
  settings: Settings;
  /** The teacher's network, or the one that is to be trained; its latent shape where that is known. */
  planned: PlannedNetwork;
  /** Side of the images. */
  imageSize: number;
  /** Whether the network is conditioned on anything. */
  isConditional: boolean;
  /** Whether real images will be there. */
  hasImages: boolean;
}

export interface Method<S extends object = Record<string, unknown>> {
  name: string;
  /** What it does, in one line. */
  about: string;
  source: string;
  makes: Product;
  /** Whether it is the one that trains students where nobody chooses. */
  isDefault?: boolean;
  settings: OwnSettings;
  /**
   * Which of its settings must fit each other and others, and which have no effect. Paths are whole ("network.heads"), or
   * names of its own or the optimiser's settings ("batch").
   */
  rules?: Rules<Asked<S>>;
  /** Throws a Failure that says what is missing. */
  needs: (settings: S, optimiser: OptimiserSettings) => Needs;
  /** The student's specification, where it is not its teacher's. */
  student?: (settings: S, spec: DenoiserSpec, given: Pick<Subject, "imageTokenizer">) => DenoiserSpec;
  parts: (kit: Kit<S>) => Record<Role, Part>;
  programs: (kit: Kit<S>) => Record<string, Program>;
  /** Step `batch.step`: which programs run, on what. A pure function of the state before it, the batch and the job. */
  step: (batch: Batch, job: Job<S>, run: Run) => Promise<Figures>;
  /** How samples of what was trained are drawn; it is written into model.json, and whoever samples obeys it. */
  sampler?: (settings: S, subject: Subject) => Sampler;
  figures: readonly FigureGroup[];
  /** Figures that only some steps have, each made by the program of its name: every one of those steps is recorded. */
  rare?: readonly string[];
  findings?: readonly Rule[];
  /** Where one training is not all: the phases, the last of which makes what the method is for. */
  phases?: (settings: S) => readonly Phase<S>[];
  /** Published forms of it beside its recipe's, by name: what they change. `study methods` has a row for each. */
  forms?: Readonly<Record<string, { about: string; changes: Partial<S> }>>;
  /** How so many steps in all are shared among the phases; all are the last one's without it. */
  divide?: (settings: S, steps: number) => { own: Partial<S>; steps: number };
}
