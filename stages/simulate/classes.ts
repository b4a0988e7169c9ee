/** Where the labels of one list of classes meet another list: by the classes' names, never by their places. */
import { Failure } from "../../schemas/failure.ts";

/** Lists longer than this are cut in sentences. */
const NAMED = 5;

/** The place in `own` of each of `names`; -1 where it has none of that name. Composed and decomposed letters are the same. */
export function placesByName(names: readonly string[], own: readonly string[]): number[] {
  const places = new Map(own.map((name, place) => [name.normalize("NFC"), place]));
  return names.map((name) => places.get(name.normalize("NFC")) ?? -1);
}

/** Throws a Failure where a list of classes is not, name by name and in the same places, the one that labels are read by. */
export function checkClasses(options: {
  names: readonly string[];
  own: readonly string[];
  /** What cannot be done, with the place that `names` come from, and whose `own` are: "take conditions from latents". */
  attempt: string;
  owner: string;
  remedy: string;
}): void {
  const { names, own, attempt, owner, remedy } = options;
  const places = placesByName(names, own);
  if (names.length === own.length && places.every((place, i) => place === i)) return;
  throw new Failure(`Cannot ${attempt}: its classes (${listed(names)}) are not ${owner}'s (${listed(own)}). ${remedy}`);
}

/**
 * From labels of `names` to those of the same classes in `own`; -1, which is no class, stays. Throws a Failure that names a
 * class that `own` lacks.
 */
export function translateLabels(options: {
  names: readonly string[];
  own: readonly string[];
  /** What cannot be done: "compare RUN with PATH". */
  attempt: string;
  remedy: string;
}): (labels: readonly number[]) => number[] {
  const { names, own, attempt, remedy } = options;
  const places = placesByName(names, own);
  const missing = names.filter((_, i) => places[i] === -1);
  if (missing.length > 0) {
    throw new Failure(`Cannot ${attempt}: the model has no class called ${listed(missing)}, only ${listed(own)}. ${remedy}`);
  }
  return (labels) => labels.map((label) => places[label] ?? -1);
}

function listed(names: readonly string[]): string {
  return names.length === 0 ? "none" : names.slice(0, NAMED).join(", ") + (names.length > NAMED ? "..." : "");
}
