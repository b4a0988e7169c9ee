/** A tiny pipeline distilled by one method as `train` does it, but by a trainer in this thread, whose networks a test can look at. */
import { join } from "node:path";
import { hashWeights, type Weights } from "../../engine/weights.ts";
import { methodNamed } from "../../methods/registry.ts";
import { noiseFor } from "../../models/diffusion/sample-noise.ts";
import { simulate } from "../../pipelines/simulate.ts";
import { trained } from "../../pipelines/train.ts";
import type { Figures } from "../../schemas/figures.ts";
import { sidesOf } from "../../schemas/images.ts";
import type { Settings } from "../../schemas/settings.ts";
import { type Denoiser, readCodec, readDenoiser, writeCodec, writeModel } from "../../stages/runs/model.ts";
import { prepareStudent } from "../../stages/train/prepare/student.ts";
import type { Trainer, Training } from "../../stages/train/training.ts";
import { trainedSampling } from "../../stages/workers/trained-sampling.ts";
import { create } from "../../stages/workers/trainer.ts";
import { freshFolder } from "../simulate/fixture.ts";
import { recordingContext } from "../train/fixture.ts";
import { prompted, quick } from "./quick.ts";
import { at } from "./students.ts";

const ROWS = 2;
export const STEPS = 10;

/** The smallest form of each method in which all of its parts play. */
const forms = {
  diffusion2gan: {
    discriminator: "teacher",
    adversarialWeight: 0.05,
    adversarialStart: 5,
    discriminatorDepth: 1,
    scales: [1],
    imageShare: 0,
  },
  yoso: {
    data: "teacher",
    consistencyLoss: "squared",
    discriminatorDepth: 1,
    adapter: { lora: { rank: 2, alpha: 2, targets: ["attention"] } },
  },
  tlcm: { segments: [2], skipSteps: 1, teacherSteps: 1, ownSteps: 1, lastPart: 0 },
};
export type Form = keyof typeof forms;

/** A teacher in a folder of its own, with triples of it that are made once somebody asks. */
interface Ground {
  teacher: Denoiser;
  folder: string;
  triples: () => Promise<string>;
  settingsOf: (form: Form) => Settings;
}

/** The pipeline `name` as a run whose latents are `side` a side. */
export async function groundOf(name: string, side: number): Promise<Ground> {
  const { description, weights } = await readDenoiser(at(name));
  const { shape: whole, network } = description.spec;
  const shrink = whole[0] / side;
  const shape: typeof whole = [side, side, whole[2]];
  const pixels = network.pixels && ([network.pixels[0] / shrink, network.pixels[1] / shrink] as [number, number]);
  const spec = { ...description.spec, shape, network: { ...network, ...(pixels && { pixels }) } };
  const teacher = { description: { ...description, spec }, weights };
  const folder = freshFolder();
  await writeModel(folder, teacher);
  const codec = await readCodec(at(name));
  await writeCodec(folder, {
    ...codec,
    description: { ...codec.description, shape, imageSize: sidesOf(codec.description.imageSize)[0] / shrink },
  });
  const { settings } = network.text ? await prompted("diffusion2gan") : { settings: quick("diffusion2gan") };
  const own: Record<string, unknown> = settings.train;
  const settingsOf = (method: Form): Settings => ({
    ...settings,
    train: { ...settings.train, method, steps: STEPS, batch: ROWS, [method]: { ...(own[method] as object), ...forms[method] } },
    simulate: {
      ...settings.simulate,
      solver: "heun",
      count: 2 * ROWS,
      batch: ROWS,
      rowsPerShard: 2 * ROWS, // some pipelines' own adds noise
      ...(network.text && { embeddings: "stored" as const }),
    },
  });
  let made: Promise<string> | undefined;
  const fill = async (): Promise<string> => {
    const out = join(folder, "triples");
    await simulate({ teacher: folder, out, settings: settingsOf("diffusion2gan"), context: recordingContext().context });
    return out;
  };
  return { teacher, folder, triples: () => (made ??= fill()), settingsOf };
}

interface Distilled {
  student: Denoiser;
  /** The run folder. */
  out: string;
  /** Of each step. */
  figures: Figures[];
  /** Some latents that the student draws. */
  samples: Float32Array;
  /** hashWeights of what the trainer held of the teacher, once it had ended. */
  teacherHash: string;
}

/** A student by ten steps of the method in that form; no pictures are drawn on the way. */
export async function distilled(ground: Ground, form: Form): Promise<Distilled> {
  const { context } = recordingContext();
  const [method, settings, out] = [methodNamed(form), ground.settingsOf(form), join(ground.folder, form)];
  const store = form === "tlcm" ? undefined : await ground.triples(); // it learns from the teacher itself
  const { picture: _, ...training } = await prepareStudent({ method, store, teacher: ground.folder, out, settings, context });
  const figures: Figures[] = [];
  let samples: Float32Array = new Float32Array();
  const start = async ({ job, weights, engine }: Training<unknown>): Promise<Trainer> => {
    const api = await create({ method: form, job, weights, engine });
    return {
      ...api,
      step: async (batch) => {
        figures.push(await api.step(batch));
        if (figures.length === STEPS) {
          const noise = noiseFor({ seed: 8, stream: "samples", rows: ROWS, ...trainedSampling(method, job)! });
          samples = await api.sample({ inputs: { ...noise, rows: ROWS, conditions: batch.conditions }, of: "average" });
        }
        return figures.at(-1)!;
      },
      sample: (inputs, of = "average") => api.sample({ inputs, of }),
      look: (program, inputs) => api.look({ program, inputs }),
      read: (role, set) => api.read({ role, set }),
      whole: (role, own) => api.whole({ role, trained: own }),
      lora: (role) => api.lora({ role }),
      close: async () => {},
    };
  };
  const student = await trained(training, { settings, context }, start);
  return { student, out, figures, samples, teacherHash: hashWeights(training.weights.teacher as Weights) };
}
