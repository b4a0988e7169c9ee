/** The training loop's own promises, with a trainer that only counts. */
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Weights } from "../../engine/weights.ts";
import type { PipelineEvent } from "../../schemas/events.ts";
import { sharp } from "../../schemas/sharp.ts";
import { pictureAt } from "../../stages/runs/record.ts";
import { fieldsOf } from "../../engine/protobuf.ts";
import { recordsOf } from "../../stages/runs/tensorboard.ts";
import { writeAtomic } from "../../store/places/atomic.ts";
import type { AnyMethod } from "../../methods/registry.ts";
import { trained } from "../../pipelines/train.ts";
import type { Measuring } from "../../stages/train/watch.ts";
import { readLatestCheckpoint } from "../../stages/train/checkpoint.ts";
import type { Trainer } from "../../stages/train/training.ts";
import { inFolder } from "../fixtures/folders.ts";
import { assert, suite } from "../harness.ts";

const test = suite("training loop");

const at = (step: number): Weights => ({ w: { shape: [1], data: Float32Array.of(step) } });

const counting = { name: "counting", makes: "student", rare: ["r1"], figures: [] } as unknown as AnyMethod;

/** A training of `steps` steps whose weights are the steps done, and whose distances are given by step. */
async function training(options: {
  folder: string;
  steps?: number;
  distances?: (step: number) => number;
  measuring?: Partial<Measuring>;
  /** Stops the training when this step is about to be done. */
  stopAt?: number;
  /** Steps whose figures are shown are added here; others have none, as on a device that they are not read from. */
  shown?: number[];
  /** From this step on a figure is not finite. */
  unsoundAt?: number;
}) {
  const { folder, steps = 60, distances, measuring, stopAt, shown, unsoundAt = Number.POSITIVE_INFINITY } = options;
  const events: PipelineEvent[] = [];
  const controller = new AbortController();
  const context = { signal: controller.signal, report: (event: PipelineEvent) => void events.push(event) };
  let done = 0;
  const trainer: Partial<Trainer> = {
    isSound: async () => done <= unsoundAt,
    step: async ({ step }, { isShown } = {}) => {
      assert.is(step, done, "batches come in order");
      done = step + 1;
      if (isShown) shown?.push(done);
      if (shown && !isShown) return {};
      return { loss: 1 / done, norm: 1, ...(done % 16 === 0 && { r1: 3 }) };
    },
    read: async () => at(done + 0.5),
    whole: async (_, trained) => trained,
    lora: async () => undefined,
    sizes: async () => ({ trained: 1, frozen: 0 }),
    save: async () => ({ "student.network": at(done), "student.average": at(done + 0.5) }),
    load: async (sets) => {
      done = sets["student.network"]!.w!.data[0] as number;
    },
    close: async () => {},
  };
  const watched: Measuring | undefined = distances && {
    every: 5,
    keep: "best",
    patience: 0,
    identity: "m",
    ...measuring,
    measure: async (step) => ({ distance: distances(step), diversity: 0.9 }),
  };
  const kept = await trained<Weights>(
    {
      name: "train",
      out: folder,
      method: counting,
      identity: { hash: "x", parts: {} },
      weights: {},
      group: "train",
      engine: {} as never,
      threads: () => 1,
      job: { optimiser: { steps, batch: 4 }, subject: {} } as never,
      settings: { checkpointEvery: 7, pictureEvery: 15, keep: watched?.keep ?? "best" } as never,
      batches: async function* (from) {
        for (let step = from; step < steps; step++) {
          if (step === stopAt) controller.abort(new Error("killed"));
          yield { step, conditions: {} };
        }
      },
      picture: async (step) => {
        const png = await sharp({ create: { width: 8, height: 4, channels: 3, background: { r: step, g: 0, b: 0 } } })
          .png()
          .toBuffer();
        await writeAtomic(pictureAt(folder, step), png);
      },
      ...(watched && { measuring: () => watched }),
      write: async (weights) => weights,
      close: async () => {},
    },
    { settings: {} as never, context },
    async () => trainer as Trainer,
  );
  const { sets } = (await readLatestCheckpoint({ folder }))!;
  return { kept: kept.w!.data[0], best: sets.best?.w?.data[0], sets, events, done };
}

/** Falls to its least at step 25, and rises then. */
const valley = (step: number): number => 10 + Math.abs(step - 25);

test("keeps the weights of the least distance beside the last ones", () =>
  inFolder(async (folder) => {
    const { kept, best, sets, done } = await training({ folder, distances: valley });
    assert.is(done, 60);
    assert.is(sets["student.average"]!.w!.data[0], 60.5);
    assert.equal([best, kept], [25.5, 25.5]);
    const lines = await metricsOf(folder);
    assert.equal(
      lines.filter((line) => "distance" in line).map(({ step }) => step),
      [5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60],
    );
    assert.equal(
      lines.find(({ step }) => step === 25),
      { step: 25, loss: 1 / 25, norm: 1, distance: 10, diversity: 0.9 },
    );
    assert.equal(
      lines.filter((line) => "r1" in line).map(({ step }) => step),
      [16, 32, 48],
    );
    const again = await training({ folder, distances: valley });
    assert.equal([again.best, again.kept], [25.5, 25.5], "a finished run is opened, not made again");
  }));

test("figures are read at the steps that are logged, measured, pictured or kept; before a checkpoint what was not finite is known", () =>
  inFolder(async (folder) => {
    const shown: number[] = [];
    await training({ folder: join(folder, "a"), distances: valley, measuring: { every: 4 }, shown });
    const wanted = Array.from({ length: 60 }, (_, i) => i + 1).filter((done) => done === 1 || [10, 4, 15, 7].some((n) => done % n === 0));
    assert.equal(shown, wanted);
    const lines = await metricsOf(join(folder, "a"));
    assert.ok(lines.every(({ loss }) => loss !== undefined));
    const unsound = training({ folder: join(folder, "b"), shown: [], unsoundAt: 11 });
    await assert.rejects(unsound, /^Cannot go on training .*: a figure of step 13, or of one shortly before it, is not finite\. Lower the/);
    assert.is((await readLatestCheckpoint({ folder: join(folder, "b") }))?.step, 7);
    const stopped = training({ folder: join(folder, "c"), shown: [], unsoundAt: 11, stopAt: 12 });
    await assert.rejects(stopped);
    assert.is((await readLatestCheckpoint({ folder: join(folder, "c") }))?.step, 7);
  }));

test("keeps nothing more where the last is asked for, or nothing is measured", () =>
  inFolder(async (folder) => {
    const last = await training({ folder: join(folder, "a"), distances: valley, measuring: { keep: "last" } });
    for (const { sets, kept } of [last, await training({ folder: join(folder, "b") })]) {
      assert.equal(Object.keys(sets), ["student.network", "student.average"]);
      assert.is(kept, 60.5);
    }
  }));

test("patience ends a training early; with more of it the same folder goes on", () =>
  inFolder(async (folder) => {
    const impatient = { folder, distances: valley, measuring: { patience: 3 } };
    const { best, kept, done, events } = await training(impatient);
    assert.is(done, 40, "three measurements after step 25");
    assert.equal([best, kept], [25.5, 25.5]);
    assert.ok(events.some((event) => event.type === "note" && /ends at step 40 of 60: 3 distances in a row/.test(event.message)));
    assert.match(await readFile(join(folder, "run.html"), "utf8"), /ended early/);
    const opened = await training(impatient);
    assert.is(opened.best, 25.5);
    assert.equal(
      opened.events.filter(({ type }) => type === "progress"),
      [],
      "no step is made",
    );
    const patient = await training({ folder, distances: valley });
    assert.is(patient.done, 60);
    assert.is(patient.best, 25.5);
  }));

test(
  "killed before any step and started again, it ends with the files of an unbroken run",
  () =>
    inFolder(async (folder) => {
      for (const patience of [0, 4]) {
        const options = { distances: (step: number) => valley(step) + (step % 3), measuring: { patience } };
        const whole = join(folder, `whole${patience}`);
        await training({ folder: whole, ...options });
        const expected = await stateOf(whole);
        for (const stopAt of [0, 13, 29, 41]) {
          const broken = join(folder, `broken${patience}-${stopAt}`);
          await assert.rejects(training({ folder: broken, ...options, stopAt }), /killed/);
          assert.match(await readFile(join(broken, "run.html"), "utf8"), /stopped: killed/);
          await training({ folder: broken, ...options });
          assert.equal(await stateOf(broken), expected, `killed before step ${stopAt}`);
        }
      }
    }),
  { seconds: 120 },
);

test("distances measured otherwise are not compared with", () =>
  inFolder(async (folder) => {
    const before = { distances: () => 1, measuring: { identity: "64 samples" } };
    await assert.rejects(training({ folder, ...before, stopAt: 30 }), /killed/);
    const { best } = await training({ folder, distances: valley, measuring: { identity: "2048 samples" } });
    assert.is(best, 35.5, "the least since then");
  }));

test("the page tells how the training stands, and loads itself anew only while it goes on", () =>
  inFolder(async (folder) => {
    const { events } = await training({ folder, distances: (step) => (step < 20 ? 10 : 30) });
    const page = await readFile(join(folder, "run.html"), "utf8");
    assert.not.match(page, /http-equiv="refresh"|<script/);
    assert.match(page, /step 60 of 60, 100 %, 240 images seen/);
    assert.match(page, /Samples at step 60/);
    assert.match(page, /Online Fréchet distance/);
    assert.match(page, /<b>drifting away<\/b>/);
    assert.is(events.filter((event) => event.type === "warning" && /drifting away/.test(event.message)).length, 1, "said once");
    assert.not.match(page, /https?:\/\/(?!www\.w3\.org)/, "needs nothing else");
  }));

test("ornaments that cannot be made are warned of once each, and the result is the same", () =>
  inFolder(async (folder) => {
    const [whole, hindered] = [join(folder, "whole"), join(folder, "hindered")];
    const expected = await training({ folder: whole, distances: valley });
    assert.equal(warningsOf(expected.events), []);
    await mkdir(join(hindered, "run.html", "in the way"), { recursive: true });
    await mkdir(join(hindered, "distance.svg", "in the way"), { recursive: true });
    await writeFile(join(hindered, "tensorboard"), "in the way");
    await writeFile(join(hindered, "pictures"), "in the way");
    const { kept, best, done, events } = await training({ folder: hindered, distances: valley });
    assert.equal([kept, best, done], [expected.kept, expected.best, 60]);
    for (const name of ["metrics.jsonl", "run.json", "settings.yaml"])
      assert.is(await readFile(join(hindered, name), "utf8"), await readFile(join(whole, name), "utf8"), name);
    const warnings = warningsOf(events);
    for (const name of ["run.html", "distance.svg", "TensorBoard's events", "its pictures"])
      assert.is(
        warnings.filter((message) => message.startsWith(`goes on without ${name}: `)).length,
        1,
        `${name} in ${warnings.join("\n")}`,
      );
  }));

test("figures that cannot be read are not taken for none", () =>
  inFolder(async (folder) => {
    await assert.rejects(training({ folder, distances: valley, stopAt: 30 }), /killed/);
    const metrics = join(folder, "metrics.jsonl");
    const before = await readFile(metrics, "utf8");
    await rename(metrics, join(folder, "aside"));
    await mkdir(metrics); // reading it fails, and not because it is absent
    const error = (await assert.rejects(training({ folder, distances: valley }), "EISDIR")) as NodeJS.ErrnoException;
    assert.is(error.code, "EISDIR", "the system's own error, for the one place that words it");
    await rm(metrics, { recursive: true });
    await rename(join(folder, "aside"), metrics);
    await training({ folder, distances: valley });
    assert.ok((await readFile(metrics, "utf8")).startsWith(before.split("\n").slice(0, 3).join("\n")));
  }));

const warningsOf = (events: readonly PipelineEvent[]): string[] =>
  events.flatMap((event) => (event.type === "warning" && event.message.startsWith("goes on without") ? [event.message] : []));

/** All files that are a function of the run, and TensorBoard's events without their times. */
async function stateOf(folder: string): Promise<Record<string, unknown>> {
  const files: Record<string, unknown> = {};
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath ?? entry.path, entry.name);
    if (!entry.isFile() || entry.name === "run.html") continue;
    const bytes = await readFile(path);
    if (entry.name.includes("tfevents"))
      files.events = recordsOf(bytes).map((event) =>
        fieldsOf(event)
          .slice(1)
          .map(({ value }) => String(value)),
      );
    else files[path.slice(folder.length)] = bytes.toString("hex");
  }
  return files;
}

const metricsOf = async (folder: string) =>
  (await readFile(join(folder, "metrics.jsonl"), "utf8"))
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, number>);

test.run();
