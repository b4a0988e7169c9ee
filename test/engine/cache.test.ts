/** Optimised graphs kept on disk: the same bits as without, and never a reason to fail. */
import { mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cacheFolder, openCache } from "../../engine/cache.ts";
import { createEngine } from "../../engine/engine.ts";
import { encodeModel } from "../../engine/onnx.ts";
import { createSession, ort } from "../../engine/session.ts";
import { autoencoderStep, ditStep, unetStep } from "../../stages/bench/programs.ts";
import type { Step } from "../../stages/bench/sampling.ts";
import type { Engine } from "../../engine/engine.ts";
import { assert, suite } from "../harness.ts";

const test = suite("graph cache");
let folder: string;
test.before.each(async () => {
  folder = await mkdtemp(join(tmpdir(), "onestep-cache-"));
});
test.after.each(() => rm(folder, { recursive: true, force: true }));

const graphs = async (): Promise<string[]> => (await readdir(folder)).filter((name) => name.endsWith(".graph")).sort();

/** What two steps of a program answer on an engine with the cache given. */
async function outcome(compile: (engine: Engine) => Promise<Step>, cache: string | false): Promise<unknown> {
  const engine = await createEngine({ device: "cpu", threads: 1, cache });
  try {
    const step = await compile(engine);
    return [await step(0), await step(1)];
  } finally {
    await engine.dispose();
  }
}
const smallDit = (engine: Engine): Promise<Step> => ditStep(engine, { depth: 4, batch: 2, width: 32 });

for (const [name, compile] of [
  ["DiT", smallDit],
  ["U-Net", unetStep],
  ["autoencoder", (e: Engine) => autoencoderStep(e, 1)],
] as const) {
  test(`${name}: a step from the cache has the bits of one without`, async () => {
    const plain = await outcome(compile, false);
    assert.equal(await outcome(compile, folder), plain, "as it is written");
    assert.is((await graphs()).length, 1);
    assert.equal(await outcome(compile, folder), plain, "as it is read");
    assert.equal(await readdir(folder), await graphs(), "nothing else is left");
  });
}

test("a damaged graph is found and made anew", async () => {
  const plain = await outcome(smallDit, folder);
  const [name] = (await graphs()) as [string];
  const path = join(folder, name);
  const sound = await readFile(path);
  const flipped = Buffer.from(sound);
  flipped[sound.length >> 1] = (flipped[sound.length >> 1] as number) ^ 1;
  for (const damaged of [flipped, sound.subarray(0, 1000), Buffer.alloc(0), Buffer.from("no graph")]) {
    await writeFile(path, damaged);
    assert.equal(await outcome(smallDit, folder), plain);
    assert.ok((await stat(path)).size > 0.9 * sound.length, "made anew"); // its length varies a little from run to run
  }
});

test("a graph under another program's name is found and made anew", async () => {
  const cache = openCache({ folder, smallest: 0 });
  assert.is(await answer(1, cache), 2);
  const [own] = (await graphs()) as [string];
  assert.is(await answer(5, cache), 6);
  const other = (await graphs()).find((name) => name !== own) as string;
  const bytes = await readFile(join(folder, other));
  await writeFile(join(folder, own), bytes);
  assert.is(await answer(1, cache), 2, "its own answer");
  assert.not.ok((await readFile(join(folder, own))).equals(bytes), "made anew");
  assert.is(await answer(1, cache), 2);
});

test("a graph that cannot be saved is made without", async () => {
  let saves = 0;
  const session = await openCache({ folder, smallest: 0 }).session(model(1), {
    device: "cpu",
    create: async (bytes, { saveTo } = {}) => {
      if (saveTo === undefined) return ort.InferenceSession.create(bytes);
      saves++;
      throw new Error("No space left on device");
    },
  });
  assert.equal([saves, [...session.outputNames]], [1, ["y"]]);
  await session.release();
  assert.equal(await readdir(folder), [], "no draft is left");
  const reason = "what is wrong with the model itself";
  const failing = openCache({ folder, smallest: 0 }).session(model(1), { device: "cpu", create: () => Promise.reject(new Error(reason)) });
  await assert.rejects(failing, reason);
});

/** A model of one addition, larger than `bytes`. */
const model = (n: number, bytes = 100) =>
  encodeModel({
    inputs: [{ name: "x", shape: [1], dtype: "float32" }],
    outputs: [{ name: "y", shape: [1], dtype: "float32" }],
    nodes: [
      { op: "Add", inputs: ["x", "c"], outputs: ["s"], attributes: {} },
      { op: "Slice", inputs: ["s", "zero", "one"], outputs: ["y"], attributes: {} },
    ],
    constants: [
      { name: "c", shape: [bytes / 4], dtype: "float32", data: new Float32Array(bytes / 4).fill(n) },
      { name: "zero", shape: [1], dtype: "int64", data: BigInt64Array.of(0n) },
      { name: "one", shape: [1], dtype: "int64", data: BigInt64Array.of(1n) },
    ],
  });

async function answer(n: number, cache: ReturnType<typeof openCache>, bytes = 100): Promise<number> {
  const session = await createSession(model(n, bytes), { device: "cpu", threads: 1, cache });
  const { y } = await session.run({ x: new ort.Tensor("float32", Float32Array.of(1), [1]) });
  await session.release();
  return (y as ort.Tensor).data[0] as number;
}

test("the graphs used longest ago go first", async () => {
  const cache = openCache({ folder, smallest: 0, limit: 100_000 });
  assert.is(await answer(1, cache, 40_000), 2);
  const [first] = (await graphs()) as [string];
  assert.is(await answer(2, cache, 40_000), 3);
  const second = (await graphs()).find((name) => name !== first) as string;
  const old = new Date(Date.now() - 1e6);
  await utimes(join(folder, first), old, old);
  await utimes(join(folder, second), new Date(Date.now() - 5e5), new Date(Date.now() - 5e5));
  assert.is(await answer(1, cache, 40_000), 2); // used again: now the younger
  assert.is(await answer(3, cache, 40_000), 4);
  const left = await graphs();
  assert.is(left.length, 2);
  assert.ok(left.includes(first) && !left.includes(second));
});

test("models too small or too large are left alone, old drafts removed", async () => {
  await answer(1, openCache({ folder }));
  await answer(1, openCache({ folder, smallest: 0, largest: 10 }));
  assert.equal(await readdir(folder), []);
  const [old, young] = [join(folder, "a.draft"), join(folder, "b.draft")];
  await writeFile(old, "");
  await utimes(old, new Date(0), new Date(0));
  await writeFile(young, "");
  await answer(1, openCache({ folder, smallest: 0 }));
  assert.is((await readdir(folder)).filter((name) => name.endsWith(".draft")).join(), "b.draft");
});

test("a folder that cannot be made or written to is gone without", async () => {
  const file = join(folder, "file");
  await writeFile(file, "");
  assert.is(await answer(1, openCache({ folder: join(file, "inside"), smallest: 0 })), 2);
  assert.is(await answer(1, openCache({ folder: file, smallest: 0 })), 2);
  assert.is(await answer(1, openCache({ folder: `${folder}/${"long".repeat(100)}`, smallest: 0 })), 2);
  const taken = join(folder, "taken"); // what lies where the graph should go cannot be replaced
  await mkdir(taken);
  await answer(1, openCache({ folder: taken, smallest: 0 }));
  const [name] = (await readdir(taken)) as [string];
  await rm(join(taken, name));
  await mkdir(join(taken, name, "full"), { recursive: true });
  assert.is(await answer(1, openCache({ folder: taken, smallest: 0 })), 2);
});

test("the environment chooses the folder", () => {
  assert.is(cacheFolder({ ONESTEP_CACHE: "/x" }), "/x");
  assert.is(cacheFolder({ ONESTEP_CACHE: "off" }), undefined);
  assert.is(cacheFolder({ XDG_CACHE_HOME: "/c" }), join("/c", "onestep"));
  assert.ok(cacheFolder({})?.endsWith(join(".cache", "onestep")));
  const homeless = (): string => {
    throw new Error("uv_os_homedir returned ENOENT");
  };
  assert.is(cacheFolder({}, homeless), undefined);
  assert.is(cacheFolder({ XDG_CACHE_HOME: "/c" }, homeless), join("/c", "onestep"));
});

test.run();
