/** The table of methods: distance at each number of network calls, the other measures at the fewest, and what it cost. */
import * as z from "zod";
import { bytesInWords, durationInWords, numberInWords } from "../../schemas/words.ts";
import { type Summary, summarise } from "../evaluate/measures.ts";
import type { Baselines } from "./baselines.ts";
import type { Figures, Result } from "./results.ts";
import type { Study } from "./studies.ts";
import { distancesAt, plusMinus, resultsOf, type Row } from "./rows.ts";

/** What the runs of a variant took, on average. */
export const costSchema = z.object({
  /** Seconds of training. */
  seconds: z.number(),
  /** Most memory of the process in a run, in bytes; of studies of earlier versions unknown. */
  memory: z.number().optional(),
});
export type Cost = z.infer<typeof costSchema>;

/** One row a variant that has results, then the teacher's and the floor's; every row has the same keys. */
export function methodRows(options: {
  study: Study;
  calls: readonly number[];
  results: readonly Result[];
  baselines?: Baselines;
  costs?: Readonly<Record<string, Cost>>;
}): Row[] {
  const { study, calls, results, baselines, costs = {} } = options;
  const isMeasured = (key: MeasureName): boolean => results.some(({ figures }) => figures[key] !== undefined);
  const shown = (Object.keys(measures) as MeasureName[]).filter(isMeasured);
  const common = (name: string, seeds: number | string, figures: readonly Figures[]): Row => ({
    method: name,
    seeds,
    ...(baselines && figures.length > 0 && { "of the teacher's": ofTeacher(figures, baselines) }),
    ...Object.fromEntries(shown.map((key) => [measures[key], plusMinusOf(figures.flatMap((of) => of[key] ?? []))])),
  });
  const blank = { "trained parameters": "", needs: "", "teacher calls": "", disk: "", training: "", memory: "" };
  const distances = (of: (calls: number) => string): Row => Object.fromEntries(calls.map((count) => [`distance at ${count}`, of(count)]));

  const variants = study.variants.flatMap(({ name }) => {
    const runs = resultsOf(name, results);
    if (runs.length === 0) return [];
    const { needed } = runs[0] as Result;
    const cost = costs[name];
    const row = {
      ...distances((count) => plusMinusOf(distancesAt(runs, count))),
      ...common(
        name,
        runs.length,
        runs.map(({ figures }) => figures),
      ),
      ...blank,
      ...(needed && {
        "trained parameters": `${percent(needed.trained / needed.parameters)} of ${numberInWords(needed.parameters)}`,
        needs:
          [needed.triples === undefined ? "" : `${needed.triples} triples`, needed.images ? "images" : ""].filter(Boolean).join(", ") ||
          "nothing",
        "teacher calls": numberInWords(needed.teacherCalls),
        disk: bytesInWords(needed.disk),
      }),
      ...(cost && { training: durationInWords(cost.seconds) }),
      ...(cost?.memory !== undefined && { memory: bytesInWords(cost.memory) }),
    };
    const { method, seeds, ...rest } = row as Row;
    return [{ method: method as string, seeds: seeds as number, ...rest }];
  });
  if (!baselines) return variants;
  const { teacher, floor, evaluations } = baselines;
  const reference = (name: string, figures: Figures): Row => {
    const { method, seeds, ...rest } = common(name, "", [figures]);
    const [first] = calls;
    return {
      method: method as string,
      seeds: seeds as string,
      ...distances((count) => (count === first ? plusMinus(figures.frechetDistance) : "")),
      ...rest,
      ...blank,
    };
  };
  return [
    ...variants,
    reference(`(teacher, ${evaluations} calls)`, teacher),
    ...(floor ? [reference("(half of the images against the other)", floor)] : []),
  ];
}

/** Measures besides the distance, by the heads of their columns. */
const measures = {
  kernelDistance: "KID",
  precision: "precision",
  recall: "recall",
  diversity: "diversity",
  captionsObeyed: "captions obeyed",
} as const;
type MeasureName = keyof typeof measures;

/** Mean and spread over training seeds; one seed has the spread of its samples. */
function plusMinusOf(summaries: readonly Summary[]): string {
  if (summaries.length === 0) return "";
  return plusMinus(summaries.length === 1 ? (summaries[0] as Summary) : summarise(summaries.map(({ mean }) => mean)));
}

function ofTeacher(figures: readonly Figures[], { teacher }: Baselines): string {
  const { mean } = summarise(figures.map(({ frechetDistance }) => frechetDistance.mean));
  return numberInWords(Number((mean / teacher.frechetDistance.mean).toPrecision(3)));
}

const percent = (share: number): string => `${Number((100 * share).toPrecision(2))} %`;
