/** A triple store is gone on with, and trained on, with the teacher that made it alone: to the last key of its description. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { simulate } from "../../pipelines/simulate.ts";
import { hashWeights } from "../../engine/weights.ts";
import type { DenoiserDescription } from "../../schemas/model.ts";
import { readDenoiser, writeCodec, writeModel } from "../../stages/runs/model.ts";
import { checkTeacher } from "../../stages/runs/teacher-of-store.ts";
import { methodNamed } from "../../methods/registry.ts";
import { prepareStudent } from "../../stages/train/prepare/student.ts";
import { writeChecksums } from "../../store/records/checksums.ts";
import { openTripleStore } from "../../store/rows/triples.ts";
import { contentsOf, contextOf, freshFolder, settingsOf, writeRun } from "../simulate/fixture.ts";
import { taesdIn, writeTaesd } from "../fixtures/taesd.ts";
import { assert, suite } from "../harness.ts";

const test = suite("teacher of a store");

const settings = settingsOf({ count: 8 }, "caption");
const out = freshFolder();
let teacher: string;
test.before(async () => {
  teacher = await writeRun({ condition: "caption" });
  await simulate({ teacher, out, settings, context: contextOf() });
});

/** Descriptions of the same weights that a hand has changed, sealed anew, and the key that is told. */
const changes: [(of: DenoiserDescription) => Partial<DenoiserDescription>, string][] = [
  [({ statistics }) => ({ statistics: { ...statistics, mean: statistics.mean.map((mean) => mean + 0.01) } }), "teacher.statistics.mean"],
  [({ statistics }) => ({ statistics: { ...statistics, std: statistics.std.map((std) => std + 0.01) } }), "teacher.statistics.std"],
  [({ spec }) => ({ spec: { ...spec, diffusion: { ...spec.diffusion, sigmaData: 5 } } }), "diffusion.sigmaData"],
  [({ spec }) => ({ spec: { ...spec, diffusion: { ...spec.diffusion, parameterisation: "flow" } } }), "diffusion.parameterisation"],
  [({ spec }) => ({ spec: { ...spec, network: { ...spec.network, heads: 4 } } }), "teacher.description"],
  [({ captions }) => ({ captions: captions.slice(1) }), "teacher.description"],
  [() => ({ role: "student" }), "teacher.role"],
];

test("the teacher that made it is the teacher of the store", async () => {
  const store = await openTripleStore({ folder: out });
  checkTeacher({ action: "Cannot train on", store, folder: teacher, teacher: (await readDenoiser(teacher)).description });
});

test("another description of the same weights is refused by key", async () => {
  const store = await openTripleStore({ folder: out });
  const { description, weights } = await readDenoiser(teacher);
  const made = contentsOf(out);
  for (const [change, key] of changes) {
    const other = await writeRun({ condition: "caption" });
    await writeModel(other, { description: { ...description, ...change(description) }, weights });
    const { description: read } = await readDenoiser(other);
    const check = () => checkTeacher({ action: "Cannot train on", store, folder: other, teacher: read });
    assert.throws(check, (error: Error) => error.message.includes(`and not the description (${key}`));
    const student = freshFolder();
    const method = methodNamed("diffusion2gan");
    const prepared = prepareStudent({ method, store: out, teacher: other, out: student, settings, context: contextOf() });
    await assert.rejects(prepared, /^Cannot train on .*has the weights that made it/);
    if (key !== "teacher.role")
      await assert.rejects(simulate({ teacher: other, out, settings, context: contextOf() }), /made with other settings/);
  }
  assert.equal(contentsOf(out), made, "nothing of the store has changed");
});

test("other weights are another teacher", async () => {
  const store = await openTripleStore({ folder: out });
  const other = await writeRun({ condition: "caption", weights: "zero" });
  const { description } = await readDenoiser(other);
  const check = () => checkTeacher({ action: "Cannot train on", store, folder: other, teacher: description });
  assert.throws(check, /another teacher than .* made it \(teacher\.hash/);
});

test("a store goes on with its own codec alone, and keeps an older description of it", async () => {
  const path = join(out, "codec.json");
  const sealed = readFileSync(path, "utf8");
  const { format: _, version: __, seal: ___, ...old } = JSON.parse(sealed);
  writeFileSync(path, `${JSON.stringify(old, null, 2)}\n`);
  await writeChecksums(out);
  const made = contentsOf(out);
  await simulate({ teacher, out, settings, context: contextOf() });
  assert.equal(contentsOf(out), made);

  writeFileSync(path, "damaged");
  await simulate({ teacher, out, settings, context: contextOf() });
  assert.is(readFileSync(path, "utf8"), sealed, "a damaged one is written anew");

  const { config, weights } = await taesdIn(writeTaesd(freshFolder(), undefined, 3));
  await writeCodec(out, { description: { kind: "taesd", imageSize: 64, shape: [8, 8, 3], hash: hashWeights(weights), config }, weights });
  await writeChecksums(out);
  const foreign = contentsOf(out);
  await assert.rejects(
    simulate({ teacher, out, settings, context: contextOf() }),
    /made with another codec \(config: .*; hash: .* instead of "pixel"/,
  );
  assert.equal(contentsOf(out), foreign);
});

test.run();
