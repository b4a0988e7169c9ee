import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sharp } from "../../schemas/sharp.ts";
import { integers } from "../../schemas/numbers/philox.ts";
import { encodeSafetensors } from "../../models/weights/safetensors.ts";
import { hashWeights } from "../../engine/weights.ts";
import { initDenoiser } from "../../models/denoiser.ts";
import { initBuiltin } from "../../models/features/builtin.ts";
import { evaluate } from "../../pipelines/evaluate.ts";
import type { PipelineEvent } from "../../schemas/events.ts";
import { settingsSchema } from "../../recipes/settings.ts";
import type { CurvePoint, StudentPoint } from "../../stages/evaluate/curve.ts";
import { evenlyChosen } from "../../stages/evaluate/conditions.ts";
import { type SeedMeasures, summarise, type Summary } from "../../stages/evaluate/measures.ts";
import type { Machine } from "../../stages/doctor/machine.ts";
import type { Speed } from "../../stages/evaluate/speed.ts";
import { openCodec, readCodec, readDenoiser, writeCodec, writeModel } from "../../stages/runs/model.ts";
import { assert, suite } from "../harness.ts";

const test = suite("evaluate");

const SIZE = 8;
const COUNT = 128; // the least for 64 features
const IMAGES = 2 * COUNT;

let folder: string;
let features: string;
const settingsOf = (count: number) =>
  settingsSchema.parse({
    images: { size: SIZE },
    network: { kind: "dit", patch: 4, width: 16, depth: 1, heads: 2, condition: "class" },
    evaluate: { count, batch: 16, features, speed: false },
    simulate: { steps: 2, solver: "euler", batch: 16 },
    engine: { threads: 1 },
  });

test.before(async () => {
  folder = await mkdtemp(join(tmpdir(), "onestep-evaluate-"));
  features = join(folder, "features.safetensors");
  await writeFile(features, encodeSafetensors({ tensors: initBuiltin({ targets: 2 }, 1) }));
  await mkdir(join(folder, "images"));
  for (let i = 0; i < IMAGES; i++) {
    const raw = { width: SIZE, height: SIZE, channels: 3 } as const;
    const colour = integers({ seed: i, stream: "colour", length: 3, below: 192 });
    const noise = integers({ seed: i, stream: "noise", length: SIZE * SIZE * 3, below: 64 });
    const pixels = Uint8Array.from(noise, (value, at) => value + colour[at % 3]!);
    await sharp(pixels, { raw })
      .png()
      .toFile(join(folder, "images", `${i}.png`));
  }
  await mkdir(join(folder, "model"));
  const { network, diffusion } = settingsOf(COUNT);
  const spec = { shape: [SIZE, SIZE, 3] as [number, number, number], network, diffusion, classes: ["a", "b"], vocabulary: 0 };
  const weights = initDenoiser(spec, 1);
  const statistics = { mean: [0, 0, 0], std: [0.5, 0.5, 0.5], min: [-1, -1, -1], max: [1, 1, 1], nonFinite: 0 };
  await writeModel(join(folder, "model"), {
    weights,
    description: {
      role: "student",
      hash: hashWeights(weights),
      spec,
      statistics,
      captions: [],
    },
  });
  const codec = await openCodec({ encoder: { ...settingsOf(COUNT).encoder, kind: "pixel" }, images: settingsOf(COUNT).images });
  await writeCodec(join(folder, "model"), codec);
});
test.after(() => rm(folder, { recursive: true }));

interface Options {
  model?: string;
  steps?: string;
  command?: string;
  out?: string;
  teacher?: string;
  curve?: string;
  neighbours?: string;
  seeds?: number;
  speed?: boolean;
  reference?: "whole" | "draw";
}

async function run(count: number, options: Options = {}) {
  const events: PipelineEvent[] = [];
  const context = { signal: new AbortController().signal, report: (event: PipelineEvent) => void events.push(event) };
  const { seeds = 1, reference = "whole", speed = false, ...rest } = options;
  const base = settingsOf(count);
  const settings = { ...base, evaluate: { ...base.evaluate, seeds, reference, speed } };
  const measures = await evaluate({ model: join(folder, "model"), reference: join(folder, "images"), settings, context, ...rest });
  return { measures, events };
}

let alone: SeedMeasures; // the student's figures of the plain command

test(
  "an untrained student is far from the data, real images are near, noise is measured too; every figure is an event",
  async () => {
    const { measures, events } = await run(COUNT);
    assert.equal(
      measures.map(({ role }) => role),
      ["floor", "ceiling", "student"],
    );
    const [floor, ceiling, student] = measures.map(({ seeds }) => seeds[0]!) as [SeedMeasures, SeedMeasures, SeedMeasures];
    alone = student;
    assert.ok(student.frechetDistance > floor.frechetDistance);
    assert.equal([floor.count, floor.references, student.count, student.references], [IMAGES / 2, IMAGES / 2, COUNT, IMAGES]);
    assert.is(student.reference, ceiling.reference);
    assert.is(student.resizeFilter, "bicubic, antialiased (a=-0.5)");
    assert.is(events.filter(({ type }) => type === "figure").length, 5 + 7 + 9); // the floor has no bands
    assert.is(events.filter(({ type }) => type === "result").length, 0);
    assert.is(events.filter(({ type }) => type === "table").length, 1);
  },
  { seconds: 180 },
);

test(
  "seeds, teacher, curve, neighbours and speed at once: all in the record, the first seed as it was alone",
  async () => {
    const [out, neighbours, model] = [join(folder, "results.json"), join(folder, "neighbours.png"), join(folder, "model")];
    const { measures, events } = await run(COUNT, {
      seeds: 2,
      teacher: model,
      out,
      curve: "4,1,4",
      neighbours,
      speed: true,
      command: "pipeline evaluate",
    });
    const record = JSON.parse(await readFile(out, "utf8")) as {
      subjects: { role: string; figures: Record<string, Summary>; seeds: SeedMeasures[] }[];
      reference: { hash: string };
      curve: CurvePoint[];
      speed: Record<string, Speed>;
      command: string;
      machine: Machine;
    };
    assert.is(record.command, "pipeline evaluate");
    assert.is(record.machine.node, process.versions.node);
    assert.equal(
      record.subjects.map(({ role }) => role),
      ["floor", "ceiling", "student", "student", "pair"],
    );
    const student = record.subjects[2]!;
    assert.equal(
      student.seeds.map(({ seed }) => seed),
      [0, 1],
    );
    const [first, second] = student.seeds.map(({ frechetDistance }) => frechetDistance) as [number, number];
    assert.is(first, alone.frechetDistance);
    assert.is.not(first, second);
    assert.close(student.figures.frechetDistance!.mean, (first + second) / 2, 1e-12);
    assert.close(student.figures.frechetDistance!.spread!, Math.abs(first - second) / Math.SQRT2, 1e-12);
    assert.close(record.subjects[4]!.figures.frechetDistance!.mean, 0, 1e-9); // a model is no distance from itself
    assert.is(record.reference.hash, measures[2]!.seeds[0]!.reference);

    assert.equal(
      record.curve.map(({ evaluations, solver, steps }) => [evaluations, solver, steps]),
      [
        [1, "heun", 1],
        [4, "dpm++2m", 4],
      ],
    );
    assert.ok(record.curve.every(({ distance }) => distance.mean > 0));
    assert.match(await readFile(join(folder, "results-curve.svg"), "utf8"), /^<svg/);
    const { width, height } = await sharp(neighbours).metadata();
    assert.ok(width! > 16 * SIZE && height! > 8 * SIZE);
    assert.ok(events.some((event) => event.type === "note" && event.message.includes(neighbours)));
    const speeds = Object.values(record.speed);
    assert.ok(speeds.length > 0 && speeds.every(({ millisecondsAnImage, imagesASecond }) => millisecondsAnImage > 0 && imagesASecond > 0));
  },
  { seconds: 240 },
);

test(
  "a draw compares with as many images, and says when there are not",
  async () => {
    const { measures } = await run(COUNT, { reference: "draw" });
    assert.equal(
      measures.map(({ role }) => role),
      ["ceiling", "student"],
    ); // halves of 64 have no floor in 64 features
    assert.equal(
      measures.at(-1)!.seeds.map(({ count, references }) => [count, references]),
      [[COUNT, COUNT]],
    );
    await assert.rejects(
      run(IMAGES + 1, { reference: "draw" }),
      new RegExp(`Cannot compare ${IMAGES + 1} images with .*: it holds ${IMAGES}`),
    );
  },
  { seconds: 180 },
);

test(
  "one student at several numbers of network calls: a row each, and a curve over all that it was made for",
  async () => {
    const few = join(folder, "few");
    const { description, weights } = await readDenoiser(join(folder, "model"));
    const sampler = { times: [80, 1], between: "renoise" as const, guidance: 1, choices: { 1: [80], 3: [80, 5, 1] } };
    await mkdir(few);
    await writeModel(few, { description: { ...description, sampler }, weights });
    await writeCodec(few, await readCodec(join(folder, "model")));
    const out = join(folder, "few.json");
    const { measures, events } = await run(COUNT, { model: few, steps: "2,1", curve: "1", out });
    const found = measures.filter(({ role }) => role === "student");
    assert.equal(
      found.map(({ subject, evaluations }) => [subject, evaluations]),
      [
        ["student, 1 NFE", 1],
        ["student, 2 NFE", 2],
      ],
    );
    const [one, two] = found.map(({ seeds }) => seeds[0]!.frechetDistance) as [number, number];
    assert.is(one, alone.frechetDistance, "at one call it is the student that was always asked once");
    assert.is.not(one, two);
    const table = events.find((event) => event.type === "table" && event.stage === "evaluate") as { rows: Record<string, unknown>[] };
    assert.equal(
      table.rows.map(({ NFE }) => NFE),
      ["", "", 1, 2],
    );
    const { studentCurve } = JSON.parse(await readFile(out, "utf8")) as { studentCurve: StudentPoint[] };
    assert.equal(
      studentCurve.map(({ evaluations, distance }) => [evaluations, distance.mean > 0]),
      [1, 2, 3].map((calls) => [calls, true]),
    );
    assert.equal([studentCurve[0]!.distance.mean, studentCurve[1]!.distance.mean], [one, two]);
    assert.match(await readFile(join(folder, "few-curve.svg"), "utf8"), /student/);
    await assert.rejects(run(COUNT, { model: few, steps: "1,4" }), /in 4 network calls: it was made for 1, 2 or 3 network calls/);
    for (const steps of ["", "1,x", "0"]) await assert.rejects(run(COUNT, { model: few, steps }), /whole numbers above 0, as in --steps/);
  },
  { seconds: 240 },
);

test("wrong requests are refused before anything is measured", async () => {
  await assert.rejects(run(COUNT, { curve: "2,4" }), /without a teacher and a place for it/);
  for (const curve of ["", "2,x", "0", "1.5"]) {
    await assert.rejects(run(COUNT, { curve, teacher: "t", out: "o.json" }), /whole numbers of evaluations above 0/);
  }
});

test("conditions: everyone's turn comes equally often, and what is left over is spread", () => {
  assert.equal(evenlyChosen(4, 2), [0, 1, 0, 1]);
  assert.equal(evenlyChosen(3, 9), [0, 3, 6]);
  assert.equal(evenlyChosen(6, 4), [0, 1, 2, 3, 0, 2]);
});

test("the mean and its spread are those of the definition", () => {
  assert.equal(summarise([3]), { mean: 3, count: 1 });
  assert.equal(summarise([1, 2, 3, 6]), { mean: 3, spread: Math.sqrt((4 + 1 + 0 + 9) / 3), count: 4 });
});

test("too few images are refused before any is generated", async () => {
  await assert.rejects(run(COUNT - 1), /from 127 images: built-in attribute classifier has 64 features.*at least 128/);
});

test.run();
