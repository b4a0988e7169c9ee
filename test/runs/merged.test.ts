/** Networks that are added up of others: sums against arithmetic of this file, what the folder says, and what is refused. */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { hashWeights, type Weights } from "../../engine/weights.ts";
import { parameterGroups } from "../../models/denoiser.ts";
import { initAdapter } from "../../models/training/adapters.ts";
import { mergeLora } from "../../pipelines/merge-lora.ts";
import { mergeWeights } from "../../pipelines/merge-weights.ts";
import { describeRun } from "../../stages/inspect/run.ts";
import { readLora, writeLora } from "../../stages/runs/lora.ts";
import { type Denoiser, readCodec, readDenoiser, writeCodec, writeModel } from "../../stages/runs/model.ts";
import { assert, suite } from "../harness.ts";
import { perturbed } from "../models/parameters.ts";
import { contentsOf, contextOf, freshFolder, settingsOf, writeRun } from "../simulate/fixture.ts";

const test = suite("networks added up of others");

const settings = settingsOf();
const common = { settings, context: contextOf() };
const sampler = { times: [80], between: "ode" as const, guidance: 1 };

/** A LoRA of this base as a training would leave it, in a folder of its own. */
async function writeLoraOf(base: Denoiser, { rank, alpha, targets }: { rank: number; alpha: number; targets: string[] }) {
  const { spec } = base.description;
  const adapter = { lora: { rank, alpha, targets } };
  const initial = initAdapter({ weights: base.weights, adapter, groups: parameterGroups(spec), seed: rank }).trained;
  const trained = perturbed(initial, 0.3);
  const folder = freshFolder();
  await writeLora(folder, { rank, alpha, base: base.description.hash, trained, merged: base.description.hash, spec, sampler });
  return { folder, trained, factor: alpha / rank };
}

/** A kernel with products added, element by element in float64: i rows, o columns, r between them. */
function expected(base: Weights, name: string, parts: { trained: Weights; by: number }[]): number[] {
  const { shape, data } = base[name]!;
  const columns = shape.at(-1)!;
  return Array.from(data, (value, at) => {
    const [i, o] = [Math.trunc(at / columns), at % columns];
    let sum = 0;
    for (const { trained, by } of parts) {
      const [down, up] = [trained[`${name}.lora.down`], trained[`${name}.lora.up`]];
      if (!down || !up) continue;
      const rank = down.shape.at(-1)!;
      let product = 0;
      for (let r = 0; r < rank; r++) product += down.data[i * rank + r]! * up.data[r * columns + o]!;
      sum += by * product;
    }
    return Math.fround(value + sum);
  });
}

const failing = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => "",
    (error: Error) => error.message,
  );

test("a LoRA is read as it was written, from its file or its run; a damaged one is named", async () => {
  const base = await readDenoiser(await writeRun());
  const { folder, trained } = await writeLoraOf(base, { rank: 2, alpha: 3, targets: ["attention"] });
  const read = await readLora(folder);
  assert.equal([read.rank, read.alpha, read.base, read.spec, read.sampler], [2, 3, base.description.hash, base.description.spec, sampler]);
  assert.equal(hashWeights(read.trained), hashWeights(trained));
  assert.equal(await readLora(join(folder, "lora.safetensors")), read);
  assert.match(await failing(readLora(join(folder, "none"))), /Cannot read a LoRA from .*none: nothing is there/);
  assert.match(await failing(readLora(await writeRun())), /it holds no lora\.safetensors, so it was not trained by one/);
  const other = freshFolder();
  mkdirSync(other, { recursive: true });
  writeFileSync(join(other, "lora.safetensors"), "no tensors");
  assert.match(await failing(readLora(other)), /Cannot load weights from .*lora\.safetensors/);
  assert.match(await failing(readLora(join(await writeRun(), "weights.safetensors"))), /its metadata does not say what a LoRA/);
});

test("the sum of several LoRAs with scales of any sign is the float64 one; codec, sampler and recipe stand beside it", async () => {
  const folder = await writeRun({ condition: "caption" });
  const base = await readDenoiser(folder);
  const one = await writeLoraOf(base, { rank: 2, alpha: 3, targets: ["attention"] });
  const two = await writeLoraOf(base, { rank: 3, alpha: 1, targets: ["mlp", "\\.attention\\.out\\."] });
  const out = join(freshFolder(), "sum");
  const request = { base: folder, loras: [one.folder, join(two.folder, "lora.safetensors")], scales: "0.7,-1.3", out, ...common };
  const made = await mergeLora(request);

  const parts = [
    { trained: one.trained, by: 0.7 * one.factor },
    { trained: two.trained, by: -1.3 * two.factor },
  ];
  let changed = 0;
  for (const [name, { data }] of Object.entries(made.weights)) {
    assert.equal([...data], expected(base.weights, name, parts), name);
    if (data.some((value, i) => value !== base.weights[name]!.data[i])) changed++;
  }
  assert.is(changed, Object.keys({ ...one.trained, ...two.trained }).length / 2, "the kernels that one of them is for, and no others");
  const { description, weights } = await readDenoiser(out);
  const { hash: _hash, role: _role, ...rest } = base.description;
  assert.equal(description, { ...rest, role: "student", hash: hashWeights(made.weights), sampler });
  assert.is(hashWeights(weights), description.hash);
  assert.equal(await readCodec(out), await readCodec(folder));
  const facts = (await describeRun(out))!.facts;
  assert.match(String(facts["sum of"]), /^[0-9a-f]{12} \+ 0\.7 x LoRA [0-9a-f]{12} - 1\.3 x LoRA [0-9a-f]{12}$/);
  assert.match(String((await describeRun(one.folder))!.facts.lora), /^rank 2, alpha 3, \d+ parameters over weights [0-9a-f]{12}$/);

  // The order of two does not matter to the bit; nothing at all is the base.
  const turned = await mergeLora({ ...request, loras: [...request.loras].reverse(), scales: "-1.3,0.7", out: freshFolder() });
  assert.is(turned.description.hash, made.description.hash);
  const none = await mergeLora({ ...request, scales: "0,0", out: freshFolder() });
  assert.is(none.description.hash, base.description.hash);

  // As a kill leaves it, and the same command again; another sum is not written over it.
  const whole = contentsOf(out);
  for (const name of ["model.json", "weights.safetensors"]) rmSync(join(out, name));
  await mergeLora(request);
  assert.equal(contentsOf(out), whole);
  await mergeLora(request);
  assert.equal(contentsOf(out), whole);
  assert.match(await failing(mergeLora({ ...request, scales: "1,1" })), /Cannot merge-lora into .*sum: it holds another network/);
  assert.equal(contentsOf(out), whole);
});

test("what does not belong together is refused before anything is written", async () => {
  const folder = await writeRun();
  const base = await readDenoiser(folder);
  const { folder: lora } = await writeLoraOf(base, { rank: 1, alpha: 1, targets: ["attention"] });
  const out = join(freshFolder(), "none");
  const request = { base: folder, loras: [lora], out, ...common };
  const other = await writeRun({ condition: "none" });
  assert.match(
    await failing(mergeLora({ ...request, base: other })),
    /Cannot add .* to .*: it was trained over weights [0-9a-f]{12}, and these are [0-9a-f]{12}\. Name the run it was trained from/,
  );
  assert.match(await failing(mergeLora({ ...request, scales: "1,2" })), /these are 2, and the LoRAs are 1/);
  for (const scales of ["x", "1,", "Infinity"]) {
    assert.match(await failing(mergeLora({ ...request, scales })), /Cannot set --scales to .*expected finite numbers/);
  }
  assert.match(await failing(mergeLora({ ...request, scales: "1e300" })), /Cannot merge-lora into .*not finite.*lesser scale/);
  assert.match(await failing(mergeLora({ ...request, out: folder })), /it holds a teacher/);
  assert.match(await failing(readDenoiser(out)), /there is no such folder/);
});

/** The run in a folder of its own, with its weights changed, as a student or with another network. */
async function derived(folder: string, std: number, changes: Partial<Denoiser["description"]> = {}): Promise<string> {
  const { description, weights } = await readDenoiser(folder);
  const changed = perturbed(weights, std);
  const other = freshFolder();
  await writeModel(other, { description: { ...description, ...changes, hash: hashWeights(changed) }, weights: changed });
  await writeCodec(other, await readCodec(folder));
  return other;
}

test("a task vector moves what was learned to another network, which keeps its latents and takes the sampler", async () => {
  const start = await writeRun();
  const base = await derived(start, 0.2);
  const add = await derived(start, -0.05, { role: "student", sampler });
  const out = join(freshFolder(), "moved");
  const made = await mergeWeights({ base, add, minus: start, scale: "0.5", out, ...common });
  const [a, b, zero] = [await readDenoiser(base), await readDenoiser(add), await readDenoiser(start)];
  for (const [name, { data }] of Object.entries(made.weights)) {
    const [from, to, less] = [a.weights[name]!.data, b.weights[name]!.data, zero.weights[name]!.data];
    assert.equal(
      [...data],
      Array.from(from, (value, i) => Math.fround(value + 0.5 * (to[i]! - less[i]!))),
      name,
    );
  }
  assert.equal((await readDenoiser(out)).description, {
    ...a.description,
    role: "student",
    hash: made.description.hash,
    sampler,
  });
  assert.match(String((await describeRun(out))!.facts["sum of"]), /^[0-9a-f]{12} \+ 0\.5 x \([0-9a-f]{12} - [0-9a-f]{12}\)$/);
  const same = await mergeWeights({ base: start, add, minus: start, out: freshFolder(), ...common });
  assert.is(same.description.hash, b.description.hash);

  const request = { base, add, minus: start, out: join(freshFolder(), "none"), ...common };
  const unlike = await writeRun({ condition: "none" });
  assert.match(
    await failing(mergeWeights({ ...request, minus: unlike })),
    /is another network \("classes" is missing, its classes differs/,
  );
  const diffusion = await writeRun({ diffusion: { sigmaData: 1 } });
  assert.match(await failing(mergeWeights({ ...request, minus: diffusion })), /another network \(its diffusion differs\)/);
  assert.match(await failing(mergeWeights({ ...request, keep: "^nothing$" })), /Cannot keep "\^nothing\$" \(--keep\): no parameter/);
  assert.match(await failing(mergeWeights({ ...request, keep: "(" })), /is no regular expression/);
  assert.match(await failing(mergeWeights({ ...request, scale: "1,2" })), /expected one number/);
});

test.run();
