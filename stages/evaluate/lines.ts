import type { PipelineEvent } from "../../schemas/events.ts";
import { type FigureName, figure, type Measures, type Summary, summarise } from "./measures.ts";
import type { Speed } from "./speed.ts";

/** Figures by what they are called in full, and in a column of the table. */
const named: Partial<Record<FigureName, { name: string; column: string }>> = {
  frechetDistance: { name: "Fréchet distance", column: "Fréchet" },
  kernelDistance: { name: "kernel distance (KID)", column: "kernel" },
  precision: { name: "precision (k=3)", column: "precision" },
  recall: { name: "recall (k=3)", column: "recall" },
  duplicates: { name: "duplicates (0.01 is chance)", column: "duplicates" },
  diversity: { name: "feature distance within a condition", column: "diversity" },
  finestBand: { name: "energy of the finest band, dB", column: "finest band, dB" },
  captionsObeyed: { name: "captions obeyed in all", column: "obeyed" },
};

/** Subjects that the table gives a shorter name than the record. */
const shortly: Partial<Record<Measures["role"], string>> = { floor: "floor: real images", pair: "student against teacher" };

/**
 * Measures as one event a figure, which `--json` prints. Each repeats what the figure depends on: how many samples, which
 * reference, which features, which resize filter; a figure copied without them means nothing.
 */
export function measureFigures(measures: Measures): PipelineEvent[] {
  const { subject, evaluations, priorEvaluations, seeds } = measures;
  const { count, references, bands = [], obedience } = seeds[0]!;
  const context = { samples: `${count} against ${references}`, ...contextOf(measures) };
  const event = (measure: string, value: number | string): PipelineEvent => ({
    type: "figure",
    stage: "evaluate",
    values: { subject, measure, value, ...context },
  });
  const events = Object.entries(named).flatMap(([key, { name }]) => {
    const found = figure(measures, key as FigureName);
    return found ? [event(name, inWords(found))] : [];
  });
  if (bands.length > 0) {
    const means = bands.map((_, band) => summarise(seeds.map((of) => of.bands![band]!)).mean);
    events.push(event("band energy, coarse to fine, dB", means.map((value) => value.toFixed(2)).join(" ")));
  }
  if (evaluations !== undefined) events.push(event("network evaluations an image (NFE)", evaluations));
  if (priorEvaluations !== undefined) events.push(event("calls of the prior an image", priorEvaluations));
  if (obedience) {
    const shares = Object.keys(obedience.perAttribute).map((name) => {
      const { mean } = summarise(seeds.map((of) => of.obedience!.perAttribute[name]!));
      return `${name} ${rounded(mean)}`;
    });
    events.push(event("captions obeyed", shares.join(", ")));
  }
  return events;
}

function contextOf({ preparation, seeds }: Measures) {
  const { reference = "", features = "", resizeFilter = "" } = seeds[0]!;
  return { reference: `${reference.slice(0, 12)} (${preparation})`, features, resize: resizeFilter };
}

/**
 * Everything on one page: a row a subject, with those columns that any subject has, the model's distance as a multiple of
 * its teacher's, and below the table once what all rows depend on.
 */
export function measureTable(all: readonly Measures[]): PipelineEvent {
  const distance = (of?: Measures) => of && figure(of, "frechetDistance")?.mean;
  const teacher = distance(all.find(({ role }) => role === "teacher"));
  const isCounted = all.some(({ evaluations }) => evaluations !== undefined);
  const measured = Object.entries(named).filter(([key]) => all.some((of) => figure(of, key as FigureName)));
  const rows = all.map((of) => {
    const columns = measured.map(([key, { column }]) => {
      const found = figure(of, key as FigureName);
      return [column, found ? inWords(found) : ""];
    });
    if (teacher) columns.splice(1, 0, ["of the teacher's", of.role === "pair" ? "" : rounded(distance(of)! / teacher, 3)]);
    const { count, references } = of.seeds[0]!;
    const before = of.priorEvaluations === undefined ? "" : `${of.priorEvaluations} + `;
    const calls = isCounted && { NFE: before === "" ? (of.evaluations ?? "") : `${before}${of.evaluations}` };
    return { subject: shortly[of.role] ?? of.subject, ...calls, samples: `${count}/${references}`, ...Object.fromEntries(columns) };
  });
  const { reference, features, resize } = contextOf(all.find(({ role }) => role !== "floor" && role !== "pair") ?? all[0]!);
  return { type: "table", stage: "evaluate", rows, about: `reference ${reference}; features ${features}; resize ${resize}` };
}

/** What a picture costs, a row a model. */
export function speedTable(speeds: Readonly<Record<string, Speed>>): PipelineEvent {
  const rows = Object.entries(speeds).map(([subject, { millisecondsAnImage, imagesASecond, batch }]) => ({
    subject,
    "ms an image, alone": rounded(millisecondsAnImage, 3),
    [`images a second, ${batch} at once`]: rounded(imagesASecond, 3),
  }));
  return { type: "table", stage: "speed", rows };
}

/** Mean and spread, the latter to two digits. */
function inWords({ mean, spread }: Summary): number | string {
  return spread === undefined ? rounded(mean) : `${rounded(mean)} ± ${rounded(spread, 2)}`;
}

/** Four significant digits: more would be noise at any affordable sample count. */
function rounded(value: number, digits = 4): number {
  return Number(value.toPrecision(digits));
}
