/** A study's results in words: the rows of its table, what they say of the order, and FOLDER/study.md. */
import { numberInWords } from "../../schemas/words.ts";
import { type Summary, summarise } from "../evaluate/measures.ts";
import type { Baselines } from "./baselines.ts";
import { type Pair, pairsOf, type Sample } from "./compare.ts";
import type { Figures, Result } from "./results.ts";
import { type Cost, methodRows } from "./method-rows.ts";
import { plusMinus, resultsOf, type Row } from "./rows.ts";
import type { Study } from "./studies.ts";

export interface Findings {
  study: Study;
  results: readonly Result[];
  baselines?: Baselines;
  /** Time and memory of each variant's runs, which no other figure depends on. */
  costs?: Readonly<Record<string, Cost>>;
}

/** Distances of every variant that has any, in the study's order. */
export function samplesOf({ study, results }: Findings): Sample[] {
  return study.variants.flatMap(({ name, published }) => {
    const runs = resultsOf(name, results).map(({ seed, figures }) => ({ seed, value: figures.frechetDistance.mean }));
    return runs.length === 0 ? [] : [{ name, runs, ...(published !== undefined && { published }) }];
  });
}

/** One row a variant, then the teacher's and the floor's; every row has the same keys. */
export function tableRows({ study, results, baselines, costs }: Findings): Row[] {
  if (study.calls) return methodRows({ study, calls: study.calls, results, baselines, costs });
  const { source } = study;
  const isCounted = results.some(({ figures }) => figures.evaluations !== undefined);
  const row = (name: string, about: string, figures: readonly Figures[], seeds: number | string, published?: number): Row => {
    const summary = (key: "frechetDistance" | "precision" | "recall"): Summary => summarise(figures.map((of) => of[key].mean));
    const distance = summary("frechetDistance");
    const calls = [...new Set(figures.flatMap(({ evaluations }) => evaluations ?? []))].join(", ");
    return {
      variant: name,
      ...(isCounted && { NFE: calls }),
      "Fréchet distance": plusMinus(distance),
      seeds,
      ...(baselines && {
        "times the teacher's": numberInWords(Number((distance.mean / baselines.teacher.frechetDistance.mean).toPrecision(3))),
      }),
      precision: plusMinus(summary("precision")),
      recall: plusMinus(summary("recall")),
      ...finestBand(figures),
      ...(source !== undefined && { published: published ?? "" }),
      "what it is": about,
    };
  };
  const hasBands = results.some(({ figures }) => figures.finestBand);
  /** Against the teacher's, once that is measured; before that against the reference's. */
  function finestBand(figures: readonly Figures[]): Row {
    if (!hasBands) return {};
    const values = figures.flatMap((of) => of.finestBand?.mean ?? []);
    const to = baselines?.teacher.finestBand?.mean;
    const name = `finest band against the ${to === undefined ? "reference" : "teacher"}'s, dB`;
    return { [name]: values.length === 0 ? "" : plusMinus(summarise(values.map((value) => value - (to ?? 0)))) };
  }
  const variants = study.variants.flatMap(({ name, about, published }) => {
    const figures = resultsOf(name, results).map((result) => result.figures);
    return figures.length === 0 ? [] : [row(name, about, figures, figures.length, published)];
  });
  if (!baselines) return variants;
  const { teacher, floor, evaluations } = baselines;
  return [
    ...variants,
    row("(teacher)", `the teacher, ${evaluations} evaluations an image`, [teacher], ""),
    ...(floor ? [row("(floor)", "half of the real images against the other half", [floor], "")] : []),
  ];
}

/** Sentences on the order of the variants: the order itself and how it stands to the published one, then pair by pair. */
export function verdict(samples: readonly Sample[]): { order: string[]; pairs: string[] } {
  const pairs = pairsOf(samples);
  if (pairs.length === 0) return { order: ["Fewer than two variants are measured: there is no order yet."], pairs: [] };
  const means = samples.map(({ name, runs }) => ({ name, mean: summarise(runs.map(({ value }) => value)).mean }));
  const ranked = means.sort((a, b) => a.mean - b.mean).map(({ name }) => name);
  return { order: [`Best to worst: ${ranked.join(", ")}.`, ...againstPublished(pairs)], pairs: pairs.map(inWords) };
}

function againstPublished(pairs: readonly Pair[]): string[] {
  const comparable = pairs.filter(({ published }) => published !== undefined);
  if (comparable.length === 0) return [];
  const agreed = comparable.filter(({ published }) => published);
  const clear = comparable.filter(({ certainty }) => certainty === "clear");
  const against = clear.filter(({ published }) => !published).map(({ better, worse }) => `${better} below ${worse}`);
  const order = `The order ${agreed.length === comparable.length ? "agrees" : "does not wholly agree"} with the published one`;
  const sure = clear.length === 0 ? "no pair is clear here" : `${clear.length - against.length} of the ${clear.length} that are clear here`;
  return [
    `${order}: ${agreed.length} of ${comparable.length} pairs stand in it, ${sure}.`,
    ...(against.length > 0 ? [`Clearly against it: ${against.join("; ")}.`] : []),
  ];
}

const certainties: Record<Pair["certainty"], string> = {
  clear: "clear: mean ± spread of the two do not overlap",
  likely: "likely: the spreads overlap, but every seed has them in this order",
  open: "open: the seeds do not decide it",
};

function inWords({ better, worse, difference, certainty, p, published }: Pair): string {
  const paper = published === undefined ? "" : published ? "; as published" : "; published the other way round";
  const chance = p === undefined ? "" : ` (Welch's p ${p < 0.001 ? "below 0.001" : p.toPrecision(2)})`;
  return `${better} is below ${worse} by ${numberInWords(Number(difference.toPrecision(3)))}: ${certainties[certainty]}${chance}${paper}.`;
}

/** FOLDER/study.md. `facts` are said under the title: what the study was made with. `chart` is a file beside it. */
export function studyText({
  facts,
  charts,
  more = [],
  ...findings
}: Findings & { facts: Row; charts: readonly { file: string; about: string }[]; more?: readonly string[] }): string {
  const { study, results } = findings;
  const { source } = study;
  const { order, pairs } = verdict(samplesOf(findings));
  return [
    `# Study "${study.name}": ${study.about}`,
    ...[...Object.entries(facts), ...measuredWith(results)].map(([name, value]) => `- ${name}: ${value}`),
    "",
    ...markdownTable(tableRows(findings)),
    "",
    "Lower is better. ± is the standard deviation over training seeds, and of one training over the seeds of its samples; every " +
      "student was given the same noise and conditions.",
    ...(source === undefined ? [] : [`Published: ${source}. Their order may be compared with ours, their values may not.`]),
    "",
    ...charts.flatMap(({ file, about }) => [`![${about}](${file})`, ""]),
    ...[...order, ...pairs, ...more].map((sentence) => `- ${sentence}`),
    "",
  ].join("\n");
}

function measuredWith(results: readonly Result[]): [string, string][] {
  const distinct = (of: (figures: Figures) => string): string => [...new Set(results.map(({ figures }) => of(figures)))].join(", ");
  return [
    ["samples", distinct(({ samples, images }) => `${samples} against ${images} images`)],
    ["sample seeds", distinct(({ frechetDistance }) => String(frechetDistance.count))],
    ["reference", distinct(({ reference }) => reference.slice(0, 12))],
    ["features", distinct(({ features }) => features)],
  ];
}

function markdownTable(rows: readonly Row[]): string[] {
  const names = Object.keys(rows[0] ?? {});
  const line = (cells: readonly (number | string)[]): string => `| ${cells.join(" | ")} |`;
  return [line(names), line(names.map(() => "---")), ...rows.map((row) => line(names.map((name) => row[name] ?? "")))];
}
