/** What is unusual in a store, in words: each hint says what was seen, against what, and what to do. */
import { isPixels } from "../../models/codecs/codecs.ts";
import { numberInWords } from "../../schemas/words.ts";
import type { Manifest } from "../../schemas/manifest.ts";
import type { Spread } from "./spread.ts";
import type { Survey } from "./survey.ts";

/** Hints by what they are about; none when all looks as it should. */
export function healthOf(manifest: Manifest, survey: Survey): Record<string, string> {
  const hints: Record<string, string> = {};
  const damaged = survey.shards.filter(({ state }) => state === "damaged");
  const missing = survey.shards.reduce((sum, { state, count }) => sum + (state === "missing" ? count : 0), 0);
  if (damaged.length > 0) {
    const { shard, problem } = damaged[0]!;
    const remedy = "repeat the command that made the store with --repair";
    hints.damage = `${counted(damaged.length, "damaged shard")}, the first is ${shard}: ${problem}; ${remedy}`;
  }
  if (missing > 0) hints.unfinished = `${missing} of ${survey.planned} shards are missing: repeat the command that made the store`;
  if (survey.rows === 0) return hints;

  Object.assign(hints, scaleHints(manifest, survey.latent), noiseHints(survey), courseHints(survey), codeHints(survey));
  const { nonFinite } = survey.latent.statistics;
  if (nonFinite > 0) {
    const share = percent(nonFinite / survey.latent.values);
    hints["not finite"] =
      `${counted(nonFinite, "value")} of the latents (${share}) are NaN or infinite: look at the teacher or encoder that made them`;
  }
  const { repeated, examples, estimated } = survey.duplicates;
  if (repeated > 0) {
    const pairs = examples
      .slice(0, 2)
      .map(([earlier, later]) => `${later} as ${earlier}`)
      .join(", ");
    const cause =
      manifest.kind === "triples" ? "check that the teacher's weights are trained and finite" : "the same images stand in it several times";
    const many = `${estimated ? "about " : ""}${counted(repeated, "row")} (${percent(repeated / survey.rows)})`;
    hints.duplicates = `${many} with the ${manifest.kind === "tokens" ? "tokens" : "latent"} of an earlier one (row ${pairs}): ${cause}`;
  }
  const [far] = manifest.kind === "tokens" ? [] : survey.farthest;
  if (far && far.distance > 3)
    hints["far row"] = `row ${far.id} lies ${n(far.distance)} times as far from the mean as a usual one: look at it with --why ${far.id}`;
  const [peak] = manifest.kind === "tokens" ? [] : survey.peaks;
  if (peak && peak.peak > 12)
    hints["large value"] =
      `a value of row ${peak.id} lies ${n(peak.peak)} standard deviations from its channel's mean: look at it with --why ${peak.id}`;
  return { ...hints, ...conditionHints(manifest, survey), ...rejectedHint(survey) };
}

/** Latents against the scale they should have: the teacher's sigmaData, or the encoder's. */
function scaleHints(manifest: Manifest, { statistics: { mean, std, min, max } }: Spread): Record<string, string> {
  const hints: Record<string, string> = {};
  if (manifest.kind === "tokens") return hints; // which number a code has means nothing
  const typical = Math.sqrt(average(std.map((value) => value ** 2)));
  const largest = largestOf(std);
  const flat = std.flatMap((value, c) => (value < largest / 1000 ? [c] : []));
  if (largest === 0) hints["latent std"] = "every latent is the same constant: nothing was encoded or simulated";
  else if (flat.length > 0)
    hints["flat channels"] =
      `channel ${flat.slice(0, 20).join(", ")}${flat.length > 20 ? ` and ${flat.length - 20} more` : ""} never changes: it carries nothing`;
  if (manifest.kind === "latents" && isPixels(manifest.encoder.kind)) {
    const beyond = Math.max(largestOf(max), largestOf(min.map((value) => -value)));
    if (beyond > 1.001) hints["pixel range"] = `pixels reach ${n(beyond)}, and should lie within -1 and 1: check how they were scaled`;
    return hints;
  }
  const [wanted, whose] =
    manifest.kind === "triples" ? [manifest.diffusion.sigmaData, "teacher's (diffusion.sigmaData)"] : [1, "encoder's usual 1"];
  const ratio = typical / wanted;
  if (largest > 0 && (ratio > 1.5 || ratio < 1 / 1.5)) {
    hints["latent std"] = `${n(typical)} is ${timesInWords(ratio)} the ${whose}: check the scaling factor`;
  }
  const shift = largestOf(mean.map(Math.abs)) / Math.max(wanted, typical);
  if (shift > 1) hints["latent mean"] = `a channel's mean lies ${n(shift)} standard deviations from 0: check the shift of the latents`;
  return hints;
}

/** Tokens against the codes there are. */
function codeHints({ codes: counts }: Survey): Record<string, string> {
  if (!counts) return {};
  const { codes, used, beyond } = counts;
  const hints: Record<string, string> = {};
  if (used < codes / 4)
    hints.codes = `only ${used} of ${codes} codes are used: train the tokenizer with fewer, or with a larger entropyWeight`;
  if (beyond > 0) hints["no codes"] = `${counted(beyond, "token")} lie outside 0 to ${codes - 1}: check who wrote this store`;
  return hints;
}

/** Noise against N(0, 1), within five standard errors, and against what its seed gives. */
function noiseHints({ noise }: Survey): Record<string, string> {
  if (!noise) return {};
  const hints: Record<string, string> = {};
  const { mean, std, nonFinite } = noise.statistics;
  const error = 1 / Math.sqrt(Math.max(1, noise.values / mean.length));
  const odd = mean.findIndex((value, c) => Math.abs(value) > 5 * error || Math.abs(std[c]! - 1) > 5 * error);
  if (nonFinite > 0) hints["noise not finite"] = `${counted(nonFinite, "value")} of the noise are NaN or infinite`;
  if (odd >= 0) {
    const seen = `mean ${n(mean[odd]!)} and std ${n(std[odd]!)}`;
    hints.noise = `the noise of channel ${odd} has ${seen}, not those of unit normals: check who wrote this store`;
  }
  if (noise.mismatched > 0)
    hints["noise and seed"] =
      `the stored noise of ${noise.mismatched} of the rows looked at is not what their seed gives: it cannot be derived again`;
  return hints;
}

/** The teacher's states: a norm falls with the noise on every way, and all values are finite. */
function courseHints({ course, rows }: Survey): Record<string, string> {
  const hints: Record<string, string> = {};
  const [worst] = [...(course?.rises ?? [])].sort((a, b) => b.rows - a.rows);
  if (worst && worst.rows > 0.01 * rows) {
    const many = `${counted(worst.rows, "row")} (${percent(worst.rows / rows)})`;
    hints.trajectory =
      `the norm of ${many} rises from ${worst.from} to ${worst.to}, and should fall with the noise: look with --grid at those ` +
      `like row ${worst.id}, and try more solver steps (simulate.steps) or less guidance`;
  }
  const odd = course?.states.find(({ statistics }) => (statistics?.nonFinite ?? 0) > 0);
  if (odd) hints["states not finite"] = `${counted(odd.statistics!.nonFinite, "value")} of ${odd.name} are NaN or infinite`;
  return hints;
}

function conditionHints({ classes }: Manifest, { rows, conditions }: Survey): Record<string, string> {
  const counts = [...conditions.labels].sort((a, b) => a[1] - b[1]);
  const [least, most] = [counts[0], counts.at(-1)];
  const hints: Record<string, string> = {};
  const name = (label: number) => classes[label] ?? `class ${label}`;
  if (least && most && most[1] > 5 * least[1])
    hints.balance = `${name(most[0])} has ${n(most[1] / least[1])} times the rows of ${name(least[0])}: the student will see it as often`;
  const absent = classes.filter((_, label) => !conditions.labels.has(label));
  if (counts.length > 0 && absent.length > 0)
    hints["absent classes"] = `${absent.slice(0, 5).join(", ")}${absent.length > 5 ? ` and ${absent.length - 5} more` : ""} have no row`;
  if (conditions.captioned > 0 && conditions.captioned < rows)
    hints.captions = `${counted(rows - conditions.captioned, "row")} without a caption`;
  return hints;
}

function rejectedHint({ rows, rejected: { count, reasons } }: Survey): Record<string, string> {
  if (count <= 0.05 * (rows + count)) return {};
  return { rejected: `${percent(count / (rows + count))} were rejected, most for this reason: ${reasons[0]?.[0]}` };
}

/** 3.1 -> "three times"; 0.33 -> "a third of". */
export function timesInWords(ratio: number): string {
  const words = ["", "", "twice", "three times", "four times", "five times", "six times", "seven times", "eight times", "nine times"];
  const parts = ["", "", "half", "a third of", "a quarter of", "a fifth of"];
  const [up, down] = [Math.round(ratio), Math.round(1 / ratio)];
  if (ratio > 1.8) return words[up] ?? `${up} times`;
  if (ratio > 1) return `${n(ratio)} times`;
  return down >= 2 ? (parts[down] ?? `1/${down} of`) : `${n(ratio)} times`;
}

const largestOf = (values: number[]) => values.reduce((most, value) => Math.max(most, value), -Infinity);
const n = (value: number) => numberInWords(Number(value.toPrecision(3)));
const counted = (count: number, noun: string) => `${count} ${noun}${count === 1 ? "" : "s"}`;
const average = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
const percent = (share: number) => `${share < 0.001 ? "under 0.1" : n(100 * share)} %`;
