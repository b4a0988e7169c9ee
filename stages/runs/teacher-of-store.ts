/** Which teacher made a triple store: what its store.json records of it, and whether a run folder holds that very one. */
import { Failure } from "../../schemas/failure.ts";
import { differences, type TripleManifest } from "../../schemas/manifest.ts";
import { type DenoiserDescription, modelFormat } from "../../schemas/model.ts";
import { labelsOf } from "../../models/denoiser.ts";
import { textHash } from "../../store/places/hash.ts";

/** What a store's identity holds of its teacher. */
export function teacherIdentity(description: DenoiserDescription): TripleManifest["teacher"] & { description: string } {
  const { hash, role, statistics } = description;
  return { hash, role, description: descriptionHash(description), statistics };
}

/**
 * The hash of all that a teacher's description says. It is taken over the text that descriptions of version 1 had, so that
 * a store keeps its identity, and fits its teacher, whichever version that is written in.
 */
function descriptionHash({ role, hash, spec, statistics, tokenizer, captions, sampler }: DenoiserDescription): string {
  return textHash(JSON.stringify({ format: modelFormat, version: 1, role, hash, spec, statistics, tokenizer, captions, sampler }));
}

/**
 * Throws a Failure unless the teacher in `folder` is the one that made the store, to the last key of its description;
 * `action` begins the sentence: "Cannot train on".
 */
export function checkTeacher(options: {
  action: string;
  store: { folder: string; manifest: TripleManifest };
  folder: string;
  teacher: DenoiserDescription;
}): void {
  const { action, store, folder, teacher } = options;
  const { manifest } = store;
  const { spec } = teacher;
  const identity = teacherIdentity(teacher);
  const keys = Object.keys(identity).filter((key) => key in manifest.teacher); // stores of earlier versions record less
  const part = (of: Record<string, unknown>) => Object.fromEntries(keys.map((key) => [key, of[key]]));
  const { diffusion, shape, classes } = manifest;
  const differing = differences(
    { teacher: part(identity), diffusion: spec.diffusion, shape: spec.shape, classes: labelsOf(spec) },
    { teacher: part(manifest.teacher), diffusion, shape, classes },
  );
  if (differing.length === 0) return;
  const isOther = manifest.teacher.hash !== teacher.hash;
  const what = isOther
    ? `another teacher than ${folder} made it`
    : `the teacher in ${folder} has the weights that made it, and not the description`;
  const isSized = !isOther && String(shape) !== String(spec.shape);
  const remedy = isSized
    ? "Ask for the size that simulate was asked for, with --size."
    : "Name the run that simulate was given, as it was.";
  throw new Failure(`${action} ${store.folder}: ${what} (${listed(differing)}). ${remedy}`);
}

/** The first keys that differ. The description's hash differs with each of them, and is told where it alone does. */
function listed(differing: string[]): string {
  const others = differing.filter((each) => !each.startsWith("teacher.description"));
  return (others.length > 0 ? others : differing).slice(0, 3).join("; ");
}
