/** The evaluation as a file: all that is needed to repeat its figures, and the figures of every seed. */
import type { Settings } from "../../schemas/settings.ts";
import { writeAtomic } from "../../store/places/atomic.ts";
import { machine } from "../doctor/machine.ts";
import type { Evaluation } from "./evaluation.ts";
import { type Measures, summaries } from "./measures.ts";

/**
 * Writes `path` as JSON: settings, the reference and feature network by hash, each subject with its figures by seed, mean
 * and sample standard deviation, and beside them the command line and the machine. `more` is whatever else was measured
 * (speed, curve, neighbours).
 */
export async function writeRecord(options: {
  path: string;
  /** The command line as it was typed; undefined where a program asked. */
  command?: string;
  /** Of the machine before it began; see `load`. */
  load: number;
  settings: Settings;
  evaluation: Pick<Evaluation, "reference" | "network" | "diversity">;
  measures: readonly Measures[];
  more: Record<string, unknown>;
}): Promise<void> {
  const { path, command, load, settings, evaluation, measures, more } = options;
  const { seed, evaluate, simulate, engine } = settings;
  const { path: source, count, size, preparation } = evaluation.reference;
  const { solver, steps, guidance, trueGuidance, guidanceRescale, batch } = simulate;
  const record = {
    format: "onestep-evaluation",
    version: 1,
    command,
    machine: machine(),
    load,
    settings: { seed, evaluate, simulate: { solver, steps, guidance, trueGuidance, guidanceRescale, batch }, engine },
    reference: { path: source, hash: measures[0]?.seeds[0]?.reference, count, size, preparation, diversity: evaluation.diversity },
    features: evaluation.network,
    subjects: measures.map(({ seeds, ...of }) => ({ ...of, figures: summaries({ seeds }), seeds })),
    ...more,
  };
  await writeAtomic(path, `${JSON.stringify(record, null, 2)}\n`);
}
