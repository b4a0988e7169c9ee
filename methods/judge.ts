/**
 * The discriminator in training: Diffusion2GAN's (Kang et al. 2024; METHODS 1.4), started from the teacher, with lazy
 * single-sample R1. Its real rows are the teacher's latents, seen with their noise, and after them real images, without.
 */
import type { Engine } from "../engine/engine.ts";
import type { InputArray, ProgramSpec } from "../engine/program.ts";
import { tf, type Tensor } from "../engine/tfjs.ts";
import type { ConstantSet } from "../engine/variables.ts";
import { layoutDifferences, type Weights } from "../engine/weights.ts";
import { discriminatorLoss, mixAndMatch, r1Penalty } from "../models/losses/adversarial.ts";
import { conditionInputs, conditionWidth, type DenoiserSpec, embedConditions, encoderWeights } from "../models/denoiser.ts";
import { applyDiscriminator, type Disturbance, initDiscriminator } from "../models/critics/discriminator.ts";
import { type Parameters, spread } from "../models/layers.ts";
import { averageDecay, rateInputs } from "../models/training/optimiser.ts";
import type { PerceptualConfig } from "../models/losses/perceptual.ts";
import { applyProjected, initProjected } from "../models/critics/projected.ts";
import type { TrainSettings } from "../schemas/settings.ts";
import { disturbanceInputs, disturbanceOf, inputsApart } from "./disturbance.ts";
import { compileStep, createTrained, scalars, type Step, type Trained } from "../models/training/training.ts";

/** What is judged: latents x [batch, h, w, c], their noise, and `paired` [batch], 1 where the noise may be seen. */
export interface Judged {
  x: Tensor;
  noise: Tensor;
  paired: Tensor;
  /** What `disturbances` draws, where the discriminator sees latents under noise. */
  disturbance?: Disturbance;
  given: Record<string, Tensor>;
}

export interface Judge extends Pick<Trained, "network" | "first" | "second"> {
  /** Logits of every head by these parameters of the network, and of the frozen features where heads read them. */
  logits: (parameters: Parameters, judged: Judged, features: Parameters) => Tensor[];
  /** The discriminator's update and, every r1Every steps, its penalty on one row: the rows in turn. */
  step: (inputs: Record<string, InputArray>, step: number) => Promise<Record<string, number>>;
}

const OF_REAL = "real.";

/** The name of a condition input that belongs to the real rows. */
export const ofReal = (name: string): string => OF_REAL + name;

export function createJudge(options: {
  engine: Engine;
  spec: DenoiserSpec;
  teacher: Weights;
  /** The perceptual network, whose features heads may read. */
  perceptual?: { config: PerceptualConfig; features: ConstantSet };
  /** A discriminator to go on from: of another kind than the settings' it is passed over. */
  start?: Weights;
  settings: TrainSettings;
  seed: number;
}): Judge {
  const { engine, spec, teacher, perceptual, start, settings, seed } = options;
  const { batch, accumulate, adversarialStart, r1Every } = settings;
  const config = { spec, depth: settings.discriminatorDepth, scales: settings.scales };
  const [hasTrunk, hasFeatures] = [settings.discriminator !== "features", settings.discriminator !== "teacher"];
  const read = hasFeatures ? perceptual : undefined;
  const condition = conditionWidth(spec);
  const fresh: Weights = {
    ...(hasTrunk ? initDiscriminator({ config, teacherWeights: teacher, seed }) : encoderWeights(spec, teacher)), // heads without a trunk start from the teacher's condition embedding too
    ...(read && initProjected({ config: read.config, width: HEAD_WIDTH, condition, seed })),
  };
  const isAsBefore = start !== undefined && layoutDifferences(fresh, start).length === 0;
  const discriminator = createTrained(engine, "discriminator", isAsBefore ? start : fresh);
  const others = read && { features: read.features };
  const rowsOf = (rows: number) => ({ shape: [rows, ...spec.shape] });

  const logits: Judge["logits"] = (parameters, { x, noise, paired, given, disturbance }, features) => {
    const of = { x, condition: embedConditions(spec, parameters, given) };
    const z = tf.mul(noise, spread(paired));
    return [
      ...(hasTrunk ? applyDiscriminator(config, parameters, { ...of, z, disturbance }) : []),
      ...(read ? applyProjected(read.config, { heads: parameters, features }, of) : []),
    ];
  };

  // Lazy regularisation adds one update in r1Every: rate and betas shrink accordingly (Karras et al. 2020, appendix B).
  const share = r1Every / (r1Every + 1);
  const judging = {
    ...settings,
    learningRate: settings.discriminatorRate * share,
    beta1: 0.5, // without momentum every step has the size of the rate, and the logits swung from step to step
    beta2: 0.99 ** share,
    weightDecay: 0,
  };
  const inputsOf = (rows: number): ProgramSpec["inputs"] => ({
    ...{ noise: rowsOf(rows), latent: rowsOf(rows), paired: { shape: [rows] } },
    ...disturbanceInputs(settings, spec, rows),
    ...conditionInputs(spec, rows),
  });
  /** A real image has its own condition. */
  const realConditions = Object.fromEntries(Object.entries(conditionInputs(spec, batch)).map(([name, input]) => [ofReal(name), input]));

  const compileUpdate = () =>
    compileStep({
      engine,
      name: "discriminator step",
      trained: discriminator,
      others,
      inputs: { ...inputsOf(batch), ...realConditions, fake: rowsOf(batch), mask: { shape: [batch] } },
      optimiser: judging,
      batch,
      accumulate, // a mismatched row takes its latent from its own micro-batch
      loss: (parameters, inputs, { features }) => {
        const { noise, latent, fake, mask, paired, ...rest } = inputs as Record<"noise" | "latent" | "fake" | "mask" | "paired", Tensor>;
        const { disturbance, others } = disturbanceOf(rest);
        const [ofReal, given] = inputsApart(others, OF_REAL);
        const seen = { noise, paired, disturbance };
        const real = logits(parameters, { ...seen, x: latent, given: ofReal }, features as Parameters);
        const mixed = logits(
          parameters,
          { ...seen, x: mixAndMatch({ generated: fake, real: latent, mask }), given },
          features as Parameters,
        );
        return { loss: discriminatorLoss({ real, fake: mixed }), metrics: judgements({ real, mixed, mask }) };
      },
    });
  const compileR1 = () =>
    compileStep({
      engine,
      name: "R1 step",
      trained: discriminator,
      others,
      inputs: inputsOf(1),
      optimiser: judging,
      loss: (parameters, inputs, { features }) => {
        const { noise, latent, paired, ...rest } = inputs as Record<"noise" | "latent" | "paired", Tensor>;
        const { disturbance, others: given } = disturbanceOf(rest);
        const penalty = r1Penalty({
          x: latent,
          discriminate: (x) => logits(parameters, { x, noise, paired, disturbance, given }, features as Parameters),
        });
        // The penalty does not depend on every parameter (the last biases); tf.grads wants each of them in the loss.
        const nothing = tf.mul(tf.addN(Object.values(parameters).map((p) => tf.sum(p))), 0);
        return { loss: tf.add(tf.mul(penalty, (settings.r1Weight / 2) * r1Every), nothing), metrics: { penalty } };
      },
    });

  let updating: Promise<Step> | undefined;
  let penalising: Promise<Step> | undefined;
  const step: Judge["step"] = async (inputs, at) => {
    const since = at - adversarialStart;
    const isLazy = settings.r1Weight > 0 && since % r1Every === 0;
    const updates = since + Math.ceil(since / r1Every); // R1 updates so far counted in
    const decay = averageDecay(at, settings.ema);
    const update = await (updating ??= compileUpdate());
    const judged = await update({ ...inputs, decay, ...rateInputs(at, judging, updates) });
    const metrics: Record<string, number> = {};
    for (const [name, value] of Object.entries(scalars(judged))) metrics[`d_${name}`] = value;
    if (isLazy) {
      const penalise = await (penalising ??= compileR1());
      const row = (since / r1Every) % batch;
      const one = (name: string): InputArray => {
        const values = inputs[name] as InputArray;
        return values.subarray((row * values.length) / batch, ((row + 1) * values.length) / batch);
      };
      const conditions = Object.keys(conditionInputs(spec, 1)).map((name) => [name, one(ofReal(name))]);
      const others = ["noise", "latent", "paired", ...Object.keys(disturbanceInputs(settings, spec, 1))].map((name) => [name, one(name)]);
      const read = Object.fromEntries([...conditions, ...others]);
      const outputs = await penalise({ ...read, decay, ...rateInputs(at, judging, updates + 1) });
      metrics.r1 = scalars(outputs).penalty as number;
    }
    return metrics;
  };

  const { network, first, second } = discriminator;
  return { network, first, second, logits, step };
}

/** Channels of the heads over frozen features. */
const HEAD_WIDTH = 64;

/**
 * What the discriminator thinks, means over heads: logits of real latents, of generated ones and of mismatched ones, and the
 * share of rows it tells right (the mean logit of a row above 0 for real, below for the others).
 */
function judgements({ real, mixed, mask }: { real: Tensor[]; mixed: Tensor[]; mask: Tensor }): Parameters {
  const ofRows = (logits: Tensor[]): Tensor => tf.div(tf.addN(logits.map((logit) => tf.mean(logit, 1))), logits.length);
  const [realRows, mixedRows] = [ofRows(real), ofRows(mixed)];
  const over = (rows: Tensor, chosen: Tensor): Tensor => tf.div(tf.sum(tf.mul(rows, chosen)), tf.maximum(tf.sum(chosen), 1));
  const right = (rows: Tensor): Tensor => tf.mean(tf.cast(tf.greater(rows, 0), "float32"));
  return {
    real: tf.mean(realRows),
    fake: over(mixedRows, tf.sub(1, mask)),
    mismatched: over(mixedRows, mask),
    accuracy: tf.div(tf.add(right(realRows), right(tf.neg(mixedRows))), 2),
  };
}
