/** Two and three workers that take the micro-batches of a step in turn are, to the bit, one that accumulates them: every method. */
import { countWeights, type Weights } from "../../engine/weights.ts";
import type { Job, Subject } from "../../methods/method.ts";
import { methodNamed, methodNames, methods, optimiserOf, ownSettings } from "../../methods/registry.ts";
import { autoencoderConfig } from "../../models/codecs/autoencoder.ts";
import { type DenoiserSpec, initDenoiser } from "../../models/denoiser.ts";
import { addFamily } from "../../models/families/registry.ts";
import { perceptualConfig } from "../../models/losses/perceptual.ts";
import type { Meeting } from "../../models/training/shared-sum.ts";
import { initImageTokenizer } from "../../models/tokens/image-tokenizer.ts";
import { presetNamed } from "../../recipes/recipe.ts";
import { settingsSchema } from "../../recipes/settings.ts";
import { integers, normals } from "../../schemas/numbers/philox.ts";
import type { Settings, TrainingSettings } from "../../schemas/settings.ts";
import { startTeam } from "../../stages/workers/team.ts";
import { create, type TrainerApi, type TrainerOptions } from "../../stages/workers/trainer.ts";
import { affine } from "../fixtures/affine-family.ts";
import { assert, suite } from "../harness.ts";
import { gaussianGround } from "./ground.ts";
import { learn } from "./learn.ts";

const test = suite("workers of every method");
addFamily(affine);

const engine = { device: "cpu", precision: "single", threads: 1 } as const;
const BATCH = 6;

/** All that a training comes to: the state after its last step and the figures of every step. */
interface Result {
  states: Record<string, Weights>[];
  figures: object[];
}

type Member = Pick<TrainerApi, "step" | "read" | "whole" | "save" | "meeting">;

/** So many trainers in this thread as one, which note what they come to. */
async function started(options: TrainerOptions, workers: number): Promise<Member> {
  if (workers === 1) return create(options);
  const team = await startTeam({
    workers,
    isExact: true,
    start: async (worker) => {
      const api = await create({ ...options, among: { worker, workers } });
      return { call: async (method, argument) => (await api[method](argument as never)) as never, close: async () => {} };
    },
  });
  return {
    step: (batch) => team.call("step", batch),
    read: (asked) => team.call("read", asked),
    whole: (asked) => team.call("whole", asked),
    save: () => team.call("save", undefined),
    meeting: () => team.call("meeting", undefined),
  };
}

/** What the trainers come to that `body` starts and runs. */
async function resultOf(workers: number, body: (start: (options: TrainerOptions) => Promise<Member>) => Promise<unknown>): Promise<Result> {
  const [all, figures] = [[] as Member[], [] as object[]];
  await body(async (options) => {
    const member = await started(options, workers);
    all.push(member);
    return {
      ...member,
      step: async (batch) => {
        const seen = await member.step(batch);
        figures.push({ ...seen });
        return seen;
      },
    };
  });
  const states = await Promise.all(all.map((member) => member.save()));
  for (const [i, member] of all.entries()) assertTrainedAlone(await member.meeting(), states[i]!);
  return { states, figures };
}

/** What workers share has room for the gradient of what is trained of one part, and for scalars, but not for a frozen network. */
function assertTrainedAlone({ memory, chunks }: Meeting, state: Record<string, Weights>): void {
  const trained = Object.entries(state).flatMap(([set, weights]) => (set.endsWith(".network") ? [countWeights(weights)] : []));
  assert.is(memory.byteLength / 4, Math.max(...trained) + 1 + chunks + BATCH * 256);
}

async function compare(body: Parameters<typeof resultOf>[1]): Promise<void> {
  const alone = await resultOf(1, body);
  for (const workers of [2, 3]) {
    const { states, figures } = await resultOf(workers, body);
    assert.equal(figures, alone.figures);
    assert.equal(states, alone.states);
  }
}

/** Settings whose steps run every program of a method, some of them not in every step. */
function settingsOf(method: string): Settings {
  const smoke = presetNamed("smoke").settings as { train: Record<string, object>; pretrain: Record<string, object> };
  const optimiser = { steps: 4, batch: BATCH, accumulate: BATCH, warmup: 2 };
  const games = { diffusion2gan: { adversarialStart: 1, perceptualWeight: 0, discriminator: "teacher" }, scott: { adversarialStart: 1 } };
  const small = {
    ...games,
    instaflow: { reflowSteps: 2, squaredPart: 1 },
    hipa: { rank: 2, alpha: 2, targets: ["map", "norm"], spatialWeight: 0, highWeight: 0, latentWeight: 1 },
    tlcm: { lastPart: 0.5 },
    yoso: { vSteps: 1, zeroSteps: 1, r1Weight: 0.3, r1Every: 2 },
    d2o: { augment: "ada", adaImages: 20 },
  };
  const own = { ...smoke.train[method], ...(small as Record<string, object>)[method] };
  const chosen = methodNames().includes(method) ? { method, [method]: own } : {};
  const pretrain = Object.fromEntries(Object.entries(smoke.pretrain).map(([what, given]) => [what, { ...given, ...optimiser }]));
  return settingsSchema.parse({ ...smoke, pretrain, train: { ...smoke.train, ...optimiser, ...chosen } });
}

const SHAPE: [number, number, number] = [2, 2, 3];

for (const method of methodNames().filter((name) => name !== "layton"))
  test(
    `${method}: two and three workers are one`,
    () => {
      const settings = settingsOf(method);
      const network = { ...settings.network, kind: affine.name as never, condition: "none" as const };
      const spec: DenoiserSpec = { shape: SHAPE, network, diffusion: settings.diffusion, classes: [], vocabulary: 0 };
      return compare((start) => learn({ settings, spec, ground: gaussianGround(spec), start }));
    },
    { seconds: 120 },
  );

const SIDE: [number, number, number] = [8, 8, 2];
const tokens = { shape: SIDE, codes: 32, dimension: 4, downsample: 4 as const, width: 16, sigmaData: 0.5 };
const plain = settingsSchema.parse({ network: { condition: "none", width: 16, depth: 1, heads: 2 } });
const teacher: DenoiserSpec = { shape: SIDE, network: plain.network, diffusion: plain.diffusion, classes: [], vocabulary: 0 };
const prior = { grid: [2, 2], codes: 32, network: { ...plain.network, condition: "none" }, classes: [], vocabulary: 0 };

/** What those methods are about that have no ground of their own. */
const subjects: Record<string, Subject> = {
  teacher: { spec: teacher },
  autoencoder: {
    autoencoder: { config: autoencoderConfig({ channels: 2, downsample: 2, width: 8, perceptualWeight: 0, boundWeight: 1 }), imageSize: 8 },
  },
  perceptual: { perceptual: perceptualConfig({ shape: SIDE, width: 8, sigmaData: 0.5, classes: 2, words: [] }) },
  tokenizer: { imageTokenizer: tokens },
  prior: { prior: prior as never },
  student: { spec: teacher, imageTokenizer: tokens },
};

for (const method of methods.filter(({ makes, name }) => makes !== "student" || name === "layton"))
  test(
    `${method.name}: two and three workers are one`,
    () => {
      const settings = settingsOf(method.name);
      const training = (method.makes === "student" ? settings.train : settings.pretrain[method.makes]) as TrainingSettings;
      const own = ownSettings(method, training) as object;
      const subject = subjects[method.makes] as Subject;
      const job = {
        settings: (method.name === "layton" ? { ...own, phase: "pixel", featureWeight: 0, latentWeight: 1 } : own) as never,
        optimiser: optimiserOf(training),
        seed: 1,
      };
      const student = methodNamed("layton").student?.(job.settings, teacher, { imageTokenizer: tokens });
      const all: Job<never> = { ...job, subject: { ...subject, ...(method.name === "layton" && student && { student }) } };
      const weights: Record<string, Weights> =
        method.name === "layton" ? { teacher: initDenoiser(teacher, 4), tokenizer: initImageTokenizer(tokens, 3) } : {};
      const side = method.makes === "autoencoder" ? 8 * 8 * 3 : 8 * 8 * 2;
      return compare(async (start) => {
        const trainer = await start({ method: method.name, job: all, weights, engine });
        for (let step = 0; step < 4; step++) {
          const latent = normals({ seed: 2, stream: "rows", offset: step * BATCH * side, length: BATCH * side });
          const codes = Int32Array.from(integers({ seed: 2, stream: "tokens", offset: step * 4 * BATCH, length: 4 * BATCH, below: 32 }));
          const targets = Float32Array.from({ length: 2 * BATCH }, (_, i) => i % 2);
          await trainer.step({ step, latent, tokens: codes, conditions: method.makes === "perceptual" ? { targets } : {} });
        }
      });
    },
    { seconds: 120 },
  );

test.run();
