/** The division of threads among engines, and a training that moves to more of them. */
import { join } from "node:path";
import type { Compute } from "../../engine/compute.ts";
import { simulate } from "../../pipelines/simulate.ts";
import { train } from "../../pipelines/train.ts";
import { settingsSchema } from "../../recipes/settings.ts";
import { divideThreads, startGrowing, withThreads } from "../../stages/workers/threads.ts";
import { assert, suite } from "../harness.ts";
import { writeRun } from "../simulate/fixture.ts";
import { contents, inFolder, recordingContext, tinySettings } from "./fixture.ts";

const test = suite("threads");

test("engines that run at once share the cores, never more than there are unless there are too few for one each", () => {
  for (const encodes of [false, true]) {
    for (let cores = 1; cores <= 64; cores++) {
      const division = divideThreads(settingsSchema.parse({}), { encodes, cores });
      const sum = (encodes ? division.ingest : 0) + division.simulate + division.train();
      assert.is(sum, Math.max(cores, encodes ? 3 : 2), `${cores} cores`);
      division.ended("ingest");
      assert.is(division.simulate + division.train(), Math.max(cores, 2));
      division.ended("simulate");
      assert.is(division.train(), cores);
    }
  }
});

test("settings overrule the division", () => {
  const parse = (settings: object) => divideThreads(settingsSchema.parse(settings), { encodes: false, cores: 16 });
  assert.is(parse({ engine: { threads: 6 } }).simulate, 3);
  assert.is(parse({ engine: { threads: 6 } }).train(), 3);
  const own = parse({ simulate: { threads: 12 } });
  assert.equal([own.simulate, own.train()], [12, 4]);
  const both = parse({ simulate: { threads: 16 }, train: { threads: 9 } });
  both.ended("simulate");
  assert.is(both.train(), 9);
  assert.equal(withThreads({ device: "cpu", precision: "single", threads: 5 }), { device: "cpu", precision: "single", threads: 5 });
  assert.equal(withThreads({ device: "cpu", precision: "single", threads: 5 }, 2), { device: "cpu", precision: "single", threads: 2 });
});

test("a trainer moves before a step, with its state, and only when the number of threads changes", async () => {
  const log: string[] = [];
  let threads = 1;
  const compute = await startGrowing({
    threads: () => threads,
    start: async (count) => {
      log.push(`start ${count}`);
      const call = async (method: string, argument?: unknown) => {
        log.push([method, argument].filter((word) => word !== undefined).join(" "));
        return method === "save" ? "state" : undefined;
      };
      return { call, close: async () => void log.push(`close ${count}`) } as unknown as Compute<Record<string, () => Promise<unknown>>>;
    },
    onGrown: (count) => log.push(`grown ${count}`),
  });
  const step = (index: number) => compute.call("step", index as never);
  await step(0);
  threads = 3;
  await compute.call("sample", "x" as never);
  await step(1);
  await step(2);
  await compute.close();
  assert.equal(log, [
    "start 1",
    "step 0",
    "sample x",
    "save",
    "close 1",
    "start 3",
    "load state",
    "grown 3",
    "step 1",
    "step 2",
    "close 3",
  ]);
});

test(
  "a training that grows to more threads on the way gives the same bits",
  () =>
    inFolder(async (folder) => {
      const settings = tinySettings({ train: { steps: 6, pictureEvery: 100 } });
      const at = (name: string): string => join(folder, name);
      const { context, events } = recordingContext();
      const teacher = await writeRun({ condition: "none" });
      await simulate({ teacher, out: at("triples"), settings, context });
      const request = { store: at("triples"), teacher, settings, context };
      await train({ ...request, out: at("plain") });
      const done = () => events.findLast((event) => event.type === "progress" && event.stage === "train") as { done: number };
      await train({ ...request, out: at("grown"), threads: () => (done().done < 3 ? 1 : 2) });
      const notes = events.filter((event) => event.type === "note" && /2 threads/.test(event.message));
      assert.is(notes.length, 1);
      const [plain, grown] = [await contents(at("plain")), await contents(at("grown"))];
      assert.equal(Object.keys(grown).sort(), Object.keys(plain).sort());
      for (const [name, bytes] of Object.entries(plain)) assert.ok(grown[name] === bytes, `${name} differs`);
    }),
  { seconds: 120 },
);

test.run();
