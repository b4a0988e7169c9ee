import type { PipelineEvent } from "../../schemas/events.ts";
import type { Speed } from "./speed.ts";
import { type FigureName, figure, type Measures, type Summary, summarise } from "./measures.ts";

const named: Partial<Record<FigureName, string>> = {
  frechetDistance: "Fréchet distance",
  kernelDistance: "kernel distance (KID)",
  precision: "precision (k=3)",
  recall: "recall (k=3)",
  duplicates: "duplicates (0.01 is chance)",
  diversity: "feature distance within a condition",
};

/**
 * Measures as result events, one a printed line. Each repeats what the figure depends on: how many samples, which
 * reference, which features, which resize filter; a figure copied without them means nothing.
 */
export function measureLines(measures: Measures): PipelineEvent[] {
  const { subject, preparation, evaluations, seeds } = measures;
  const { count, references, reference = "", features = "", resizeFilter = "", bands = [], obedience } = seeds[0]!;
  const context = {
    samples: `${count} against ${references}`,
    reference: `${reference.slice(0, 12)} (${preparation})`,
    features,
    resize: resizeFilter,
  };
  const line = (measure: string, value: number | string): PipelineEvent => ({
    type: "result",
    stage: "evaluate",
    values: { subject, measure, value, ...context },
  });
  const lines: PipelineEvent[] = [];
  for (const [name, words] of Object.entries(named)) {
    const found = figure(measures, name as FigureName);
    if (found) lines.push(line(words, inWords(found)));
  }
  if (bands.length > 0) {
    const means = bands.map((_, band) => summarise(seeds.map((of) => of.bands![band]!)).mean);
    lines.push(line("band energy, coarse to fine, dB", means.map((value) => value.toFixed(2)).join(" ")));
  }
  if (evaluations !== undefined) lines.push(line("network evaluations an image (NFE)", evaluations));
  if (obedience) {
    const shares = Object.keys(obedience.perAttribute).map((name) => {
      const { mean } = summarise(seeds.map((of) => of.obedience!.perAttribute[name]!));
      return `${name} ${rounded(mean)}`;
    });
    lines.push(line("captions obeyed in all", inWords(figure(measures, "captionsObeyed")!)), line("captions obeyed", shares.join(", ")));
  }
  return lines;
}

/** Everything on one page: a row a subject, and the model's distance as a multiple of its teacher's. */
export function measureTable(all: readonly Measures[]): PipelineEvent {
  const distance = (of?: Measures) => of && figure(of, "frechetDistance")?.mean;
  const teacher = distance(all.find(({ role }) => role === "teacher"));
  const cell = (of: Measures, name: FigureName) => {
    const found = figure(of, name);
    return found ? inWords(found) : "";
  };
  const rows = all.map((of) => ({
    subject: of.subject,
    samples: `${of.seeds[0]!.count}/${of.seeds[0]!.references}`,
    "Fréchet distance": cell(of, "frechetDistance"),
    "of the teacher's": teacher && of.role !== "pair" ? `${rounded(distance(of)! / teacher, 3)}` : "",
    "kernel distance": cell(of, "kernelDistance"),
    precision: cell(of, "precision"),
    recall: cell(of, "recall"),
    duplicates: cell(of, "duplicates"),
    diversity: cell(of, "diversity"),
  }));
  return { type: "table", stage: "evaluate", rows };
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
