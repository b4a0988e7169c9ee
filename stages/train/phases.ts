/** The phases of a method that is more than one training: what each is asked with, and where its result lies. */
import type { Phase } from "../../methods/method.ts";
import type { AnyMethod } from "../../methods/registry.ts";
import type { Settings } from "../../schemas/settings.ts";
import { within } from "../../store/places/place.ts";
import { openTripleStore } from "../../store/rows/triples.ts";

/** One phase, ready to be run: a simulation by what was made last, or a training on the newest triples. */
export interface Planned {
  kind: "simulate" | "train";
  /** RUN/reflow, RUN/pairs ...; the run folder itself for the last one. */
  out: string;
  settings: Settings;
}

/**
 * The phases of a run in `out`. A simulation makes as many rows in shards of the same size as the store `given` has, of
 * noise that store did not use.
 */
export async function plannedPhases(options: {
  method: AnyMethod;
  phases: readonly Phase<never>[];
  given: string | undefined;
  out: string;
  /** The URL that `out` stands for, if it does: stores are made there. */
  place?: string | undefined;
  settings: Settings;
}): Promise<Planned[]> {
  const { method, phases, given, out, place = out, settings } = options;
  const rows = given === undefined ? undefined : (await openTripleStore({ folder: given })).manifest;
  const size = rows ? { count: rows.entries, rowsPerShard: rows.rowsPerShard } : {};
  return phases.map((phase, i) => {
    const folder = i === phases.length - 1 ? out : within("simulate" in phase ? place : out, phase.name);
    if ("simulate" in phase) {
      // Of the store given: a phase says what its own keeps, and it is whole, and kept, before the training that reads it begins.
      const { trajectory: _, lead: __, keep: ___, ...rest } = settings.simulate;
      const simulate = { ...rest, ...size, ...phase.simulate };
      return { kind: "simulate", out: folder, settings: { ...settings, seed: settings.seed + i, simulate } };
    }
    const own = { ...(settings.train[method.name] as object), ...(phase.train as object) };
    return { kind: "train", out: folder, settings: { ...settings, train: { ...settings.train, ...phase.optimiser, [method.name]: own } } };
  });
}
