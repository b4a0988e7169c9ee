import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { integers } from "../../schemas/numbers/philox.ts";
import { readLatestCheckpoint, writeCheckpoint } from "../../stages/train/checkpoint.ts";
import { encodeSafetensors } from "../../models/weights/safetensors.ts";
import { loadWeights } from "../../models/weights/load.ts";
import { saveWeights } from "../../stages/runs/weights-file.ts";
import { assert, suite } from "../harness.ts";
import { freshFolder, latentOf } from "./fixture.ts";

const test = suite("checkpoint");

const sets = (step: number) => ({
  student: {
    "blocks.0/odd name": { shape: [2, 3], data: latentOf(step, 6) },
    scale: { shape: [], data: latentOf(step, 1) },
  },
  ema: { scale: { shape: [1], data: latentOf(step + 1, 1) } },
  empty: {},
});

async function written(steps: number[]): Promise<string> {
  const folder = freshFolder();
  for (const step of steps) await writeCheckpoint({ folder, step, sets: sets(step), metadata: { seed: "7", ages: [step] } });
  return folder;
}

test("the newest comes back whole, and only two are kept", async () => {
  const folder = await written([0, 1000, 200_000_000]);
  assert.is(readdirSync(folder).length, 2);
  const latest = await readLatestCheckpoint({ folder });
  assert.is(latest?.step, 200_000_000);
  assert.equal(latest?.sets, sets(200_000_000));
  assert.equal(latest?.metadata, { seed: "7", ages: [200_000_000] });
});

test("one of a step between the regular ones goes when a newer one is there, and takes none of theirs for good", async () => {
  const folder = freshFolder();
  const stepsAfter = async (step: number): Promise<number[]> => {
    await writeCheckpoint({ folder, step, sets: sets(step), isRegular: (step) => step % 10 === 0 });
    return readdirSync(folder).map((name) => Number(name.split("-")[1]));
  };
  const seen: number[][] = [];
  for (const step of [10, 20, 23, 27, 30, 31, 40]) seen.push((await stepsAfter(step)).sort((a, b) => a - b));
  assert.equal(seen, [[10], [10, 20], [20, 23], [20, 27], [20, 30], [30, 31], [30, 40]]);
});

test("equal state gives equal files", async () => {
  const [a, b] = [await written([5]), await written([5])];
  assert.equal(readdirSync(a), readdirSync(b));
  const [name = ""] = readdirSync(a);
  assert.ok(readFileSync(join(a, name)).equals(readFileSync(join(b, name))));
});

test("a torn newest one is named and passed over", async () => {
  const folder = await written([1, 2]);
  const newest = join(folder, readdirSync(folder).sort()[1]!);
  truncateSync(newest, 100);
  const warnings: string[] = [];
  const latest = await readLatestCheckpoint({ folder, warn: (message) => warnings.push(message) });
  assert.is(latest?.step, 1);
  assert.is(warnings.length, 1);
  assert.ok(warnings[0]!.includes(newest));
});

test("any flipped bit is noticed", async () => {
  const folder = await written([1, 2]);
  const newest = join(folder, readdirSync(folder).sort()[1]!);
  const bytes = readFileSync(newest);
  for (const bit of integers({ seed: 1, stream: "bits", length: 100, below: bytes.length * 8 })) {
    const damaged = Buffer.from(bytes);
    damaged[bit >> 3]! ^= 1 << (bit & 7);
    writeFileSync(newest, damaged);
    assert.is((await readLatestCheckpoint({ folder }))?.step, 1);
  }
});

test("a step in the name that is not the content's is noticed", async () => {
  const folder = await written([1, 2]);
  const [first = "", second = ""] = readdirSync(folder).sort();
  renameSync(join(folder, first), join(folder, first.replace("00000001", "00000009")));
  const warnings: string[] = [];
  const latest = await readLatestCheckpoint({ folder, warn: (message) => warnings.push(message) });
  assert.is(latest?.step, 2);
  assert.match(warnings.join(), /passed over .*00000009.*its name says step 9 and its content step 1$/);
  rmSync(join(folder, second));
  await assert.rejects(readLatestCheckpoint({ folder }), /all 1 checkpoints are damaged/);
});

test("whatever a file of the right hash says of itself, it is taken or passed over with a reason", async () => {
  const tensors = { "student/scale": { shape: [1], data: Float32Array.of(1) } };
  const sound = { step: "5", sets: '["student"]', metadata: "{}" };
  const read = async (bytes: Uint8Array): Promise<string> => {
    const folder = freshFolder();
    mkdirSync(folder, { recursive: true });
    const hash = createHash("sha256").update(bytes).digest("hex");
    writeFileSync(join(folder, `checkpoint-00000005-${hash.slice(0, 16)}.safetensors`), bytes);
    const warnings: string[] = [];
    const latest = await readLatestCheckpoint({ folder, warn: (message) => warnings.push(message) }).catch((error) => {
      assert.match(error.message, /all 1 checkpoints are damaged/);
    });
    return latest ? "taken" : warnings.join();
  };
  assert.is(await read(encodeSafetensors({ tensors, metadata: sound })), "taken");
  for (const [metadata, reason] of [
    [{ ...sound, step: "6" }, "its name says step 5 and its content step 6"],
    [{ ...sound, sets: "[" }, "it does not say what it holds"],
    [{ ...sound, sets: '{"student": 1}' }, "it does not say what it holds"],
    [{ ...sound, metadata: "[]" }, "it does not say what it holds"],
    [{ ...sound, metadata: "{" }, "it does not say what it holds"],
    [{ ...sound, sets: '["other"]' }, 'it lists no set for its tensor "student/scale"'],
    [{}, "it does not say what it holds"],
  ] as [Record<string, string>, string][]) {
    assert.match(await read(encodeSafetensors({ tensors, metadata })), reason);
  }
  const nan = { "student/scale": { shape: [1], data: Float32Array.of(Number.NaN) } };
  assert.match(await read(encodeSafetensors({ tensors: nan, metadata: sound })), "is not finite");
  assert.match(await read(new TextEncoder().encode("no safetensors")), "header");
});

test("weights that are not finite are no checkpoint", async () => {
  const folder = await written([1]);
  const bad = { student: { scale: { shape: [2], data: Float32Array.of(1, Infinity) } } };
  const said = /Cannot keep the checkpoint of step 2 .*"student\/scale" is not finite/;
  await assert.rejects(writeCheckpoint({ folder, step: 2, sets: bad }), said);
  assert.is((await readLatestCheckpoint({ folder }))?.step, 1);
  assert.is(readdirSync(folder).length, 1);
});

test("a temporary file, also of another host's killed process, is no checkpoint, and goes with the next one", async () => {
  const folder = await written([1]);
  const [name = ""] = readdirSync(folder);
  writeFileSync(join(folder, `.${name.replace("01-", "09-")}.0-1-00000000.tmp`), "torn");
  assert.is((await readLatestCheckpoint({ folder }))?.step, 1);
  await writeCheckpoint({ folder, step: 2, sets: sets(2) });
  assert.is(readdirSync(folder).length, 2);
});

test("without any there is nothing to resume; with none sound it is an error", async () => {
  assert.is(await readLatestCheckpoint({ folder: freshFolder() }), undefined);
  const folder = await written([1]);
  truncateSync(join(folder, readdirSync(folder)[0]!), 0);
  await assert.rejects(readLatestCheckpoint({ folder }), /all 1 checkpoints are damaged. Delete them/);
});

test("weights are saved and loaded, whole or half", async () => {
  const path = join(freshFolder(), "deep/student.safetensors");
  const weights = sets(3).student;
  await saveWeights({ path, weights, metadata: { kind: "dit" } });
  assert.equal(await loadWeights(path), { weights, metadata: { kind: "dit" } });
  await saveWeights({ path, weights, dtype: "F16" });
  const { weights: half } = await loadWeights(path);
  assert.close(half.scale!.data, weights.scale.data, 2e-3);
  await assert.rejects(loadWeights(`${path}.other`), /there is no such file/);
  truncateSync(path, 30);
  await assert.rejects(loadWeights(path), /Cannot load weights from .*student/);
});

test.run();
