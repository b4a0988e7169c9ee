/** Known ways in which any training goes wrong, read off its history. */
import { type Finding, type Line, type Rule, valuesOf } from "../../schemas/figures.ts";
import { numberInWords } from "../../schemas/words.ts";
import { median } from "./statistics.ts";

/** Rules for any training; `rare` names figures that only some steps have. */
export function descentFindings(rare: readonly string[] = []): Rule[] {
  const remedy = "half of learningRate, a longer warmup, or less clip";
  return [exploding({ figure: "norm", words: "gradient norm", remedy, rare }), drifting, stalled];
}

/** Gradients five times what they were; only lines with the same terms of the loss are compared. */
export function exploding(options: { figure: string; words: string; remedy: string; rare?: readonly string[] }): Rule {
  const { figure, words, remedy, rare = [] } = options;
  const isTerm = (name: string): boolean => ![...rare, "distance", "diversity", "precision", "recall"].includes(name);
  const termsOf = (line: object): string => Object.keys(line).filter(isTerm).join();
  return (history) => {
    const terms = termsOf(history.at(-1) ?? {});
    const alike = history.slice(-200).filter((line) => line[figure] !== undefined && termsOf(line) === terms);
    const values = valuesOf(alike, figure).map(({ value }) => value);
    const [last, before] = [values.slice(-10), values.slice(-60, -10)];
    if (before.length < 20 || median(last) < 5 * median(before)) return undefined;
    const seen = `the ${words} is ${numberInWords(median(last))} (median of ten lines), after ${numberInWords(median(before))}`;
    return { name: "exploding norms", seen, remedy };
  };
}

/** The distance has risen by half since its least, twice in a row. */
const drifting: Rule = (history) => {
  const values = distances(history);
  const least = values.reduce((a, b) => (b.value < a.value ? b : a), values[0] ?? { step: 0, value: 0 });
  const last = values.slice(-2);
  if (values.length < 3 || !last.every(({ step, value }) => step > least.step && value > 1.5 * least.value)) return undefined;
  return {
    name: "drifting away",
    seen: `the distance is ${numberInWords(last[1]!.value)}, after ${numberInWords(least.value)} at step ${least.step}`,
    remedy: "lower learning rates or a lesser adversarial weight; the best step is kept (train.keep=best)",
  };
};

/**
 * Nothing better than by 1 % in six measurements; or, where no distance is measured, a loss whose median over the last
 * fifty lines is that of the first fifty.
 */
const stalled: Rule = (history) => {
  const values = distances(history).map(({ value }) => value);
  return values.length > 0 ? stalledDistance(values) : stalledLoss(valuesOf(history, "loss").map(({ value }) => value));
};

function stalledDistance(values: readonly number[]): Finding | undefined {
  const [before, last] = [Math.min(...values.slice(0, -6)), Math.min(...values.slice(-6))];
  if (values.length < 8 || last < 0.99 * before || last > 1.5 * before) return undefined;
  return {
    name: "learning stalled",
    seen: `the least distance of the last six measurements is ${numberInWords(last)}, before it was ${numberInWords(before)}`,
    remedy: "an end here (train.patience), a falling rate (train.decay), or more triples",
  };
}

function stalledLoss(losses: readonly number[]): Finding | undefined {
  if (losses.length < 200) return undefined;
  const [first, last] = [median(losses.slice(0, 50)), median(losses.slice(-50))];
  if (last < 0.95 * first) return undefined;
  return {
    name: "learning stalled",
    seen: `the loss is ${numberInWords(last)} in the middle of the last fifty lines, after ${numberInWords(first)} in the first fifty`,
    remedy: "another learning rate, or a look at the data with `pipeline inspect`",
  };
}

const distances = (history: readonly Line[]) => valuesOf(history, "distance");
