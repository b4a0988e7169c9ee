/** Known ways in which a training goes wrong, read off its history: what is seen, and what to try. */
import { numberInWords } from "../../schemas/words.ts";
import { type Line, valuesOf } from "./history.ts";

export interface Finding {
  name: string;
  /** What was seen, with its figures. */
  seen: string;
  /** What to try. */
  remedy: string;
}

/** What is wrong at the end of a history; nothing where it is too short to say. A pure function of it. */
export function findingsOf(history: readonly Line[]): Finding[] {
  const rules = [saturated, swinging, collapsed, exploding("norm"), exploding("d_norm"), drifting, stalled];
  return rules.flatMap((rule) => rule(history) ?? []);
}

type Rule = (history: readonly Line[]) => Finding | undefined;

/** Lines (of ten steps each) over which a discriminator's verdict is averaged. */
const VERDICTS = 20;

/** It is right about nearly everything: the generator's gradient through it says little. Even odds are 0.5. */
const saturated: Rule = (history) => {
  const recent = (name: string): number[] =>
    valuesOf(history.slice(-2 * VERDICTS), name)
      .slice(-VERDICTS)
      .map(({ value }) => value);
  const accuracy = recent("d_accuracy");
  if (accuracy.length < VERDICTS || mean(accuracy) < 0.97) return undefined;
  const [real, fake] = [mean(recent("d_real")), mean(recent("d_fake"))].map(numberInWords);
  return {
    name: "discriminator saturated",
    seen: `the discriminator is right in ${percent(mean(accuracy))} of cases (mean logits ${real} for real, ${fake} for generated)`,
    remedy: "half of train.discriminatorRate, ten times train.r1Weight, a later train.adversarialStart, or more train.mismatch",
  };
};

/**
 * It takes everything for real, then everything for generated: the middle between its mean logits moves further than they
 * are apart. Each of its updates overshoots, and it learns nothing else.
 */
const swinging: Rule = (history) => {
  const recent = history
    .slice(-2 * VERDICTS)
    .filter((line) => line.d_real !== undefined && line.d_fake !== undefined)
    .slice(-VERDICTS);
  if (recent.length < VERDICTS) return undefined;
  const middles = recent.map(({ d_real, d_fake }) => ((d_real as number) + (d_fake as number)) / 2);
  const apart = mean(recent.map(({ d_real, d_fake }) => ((d_real as number) - (d_fake as number)) / 2));
  const swing = Math.sqrt(mean(middles.map((middle) => (middle - mean(middles)) ** 2)));
  if (swing < 0.2 || swing < apart) return undefined;
  return {
    name: "discriminator swinging",
    seen: `the discriminator's logits swing together by ${numberInWords(swing)} from line to line, and are ${numberInWords(2 * apart)} apart`,
    remedy: "half of train.discriminatorRate: its updates overshoot",
  };
};

/**
 * The spread of the samples in feature space is half of the real images' or less, or a quarter below what it was, twice
 * in a row. Blur lowers it too, so the first measurements (a training starts blurred) are only compared with each other.
 */
const collapsed: Rule = (history) => {
  const values = valuesOf(history, "diversity");
  const [before, last] = [values.slice(0, -2).map(({ value }) => value), values.slice(-2).map(({ value }) => value)];
  if (before.length < 2 || last.length < 2) return undefined;
  const most = Math.max(...before);
  if (!last.every((value) => value < 0.5 || (value < 0.85 && value < 0.75 * most))) return undefined;
  return {
    name: "collapse of diversity",
    seen: `the samples' spread is ${numberInWords(last[1]!)} of the real images', after ${numberInWords(most)} before`,
    remedy: "less train.adversarialWeight, more train.perceptualWeight or train.mismatch; the best step is kept (train.keep=best)",
  };
};

/** Gradients five times what they were; only lines with the same terms of the loss are compared. */
const exploding =
  (name: string): Rule =>
  (history) => {
    const termsOf = (line: object): string => Object.keys(line).filter(isTerm).join();
    const terms = termsOf(history.at(-1) ?? {});
    const alike = history.slice(-200).filter((line) => line[name] !== undefined && termsOf(line) === terms);
    const values = valuesOf(alike, name).map(({ value }) => value);
    const [recent, before] = [values.slice(-10), values.slice(-60, -10)];
    if (before.length < 20 || median(recent) < 5 * median(before)) return undefined;
    const whose = name === "norm" ? "" : "discriminator's ";
    return {
      name: "exploding norms",
      seen: `the ${whose}gradient norm is ${numberInWords(median(recent))} (median of ten lines), after ${numberInWords(median(before))}`,
      remedy: whose ? "half of train.discriminatorRate, or more train.r1Weight" : "half of learningRate, a longer warmup, or less clip",
    };
  };

/** Names that say which losses a line has, and not whether this step was measured or regularised. */
const isTerm = (name: string): boolean => !["r1", "distance", "diversity"].includes(name);

/** The distance has risen by half since its least, twice in a row. */
const drifting: Rule = (history) => {
  const values = distances(history);
  const least = values.reduce((a, b) => (b.value < a.value ? b : a), values[0] ?? { step: 0, value: 0 });
  const last = values.slice(-2);
  if (values.length < 3 || !last.every(({ step, value }) => step > least.step && value > 1.5 * least.value)) return undefined;
  return {
    name: "drifting away",
    seen: `the distance is ${numberInWords(last[1]!.value)}, after ${numberInWords(least.value)} at step ${least.step}`,
    remedy: "less train.adversarialWeight, or less of both learning rates; the best step is kept (train.keep=best)",
  };
};

/**
 * Nothing better than by 1 % in six measurements; or, where no distance is measured, a loss whose median over the last
 * fifty lines is that of the first fifty.
 */
const stalled: Rule = (history) => {
  const values = distances(history).map(({ value }) => value);
  if (values.length > 0) {
    const [before, last] = [Math.min(...values.slice(0, -6)), Math.min(...values.slice(-6))];
    if (values.length < 8 || last < 0.99 * before || last > 1.5 * before) return undefined;
    return {
      name: "learning stalled",
      seen: `the least distance of the last six measurements is ${numberInWords(last)}, before it was ${numberInWords(before)}`,
      remedy: "an end here (train.patience), a falling rate (train.decay), more triples, or an earlier train.adversarialStart",
    };
  }
  const losses = valuesOf(history, "loss").map(({ value }) => value);
  if (losses.length < 200) return undefined;
  const [first, last] = [median(losses.slice(0, 50)), median(losses.slice(-50))];
  if (last < 0.95 * first) return undefined;
  return {
    name: "learning stalled",
    seen: `the loss is ${numberInWords(last)} in the middle of the last fifty lines, after ${numberInWords(first)} in the first fifty`,
    remedy: "another learning rate, or a look at the data with `pipeline inspect`",
  };
};

const distances = (history: readonly Line[]) => valuesOf(history, "distance");

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

const percent = (share: number): string => `${Math.round(100 * share)} %`;
