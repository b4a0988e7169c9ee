/** A run in a bucket: sent there after each checkpoint, and gone on with on another machine. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run } from "../../pipelines/run.ts";
import { train } from "../../pipelines/train.ts";
import { simulate } from "../../pipelines/simulate.ts";
import type { Context } from "../../schemas/events.ts";
import { fetched, fetchedRun, inPlaceOf, mirrored, workingFolder } from "../../stages/runs/mirror.ts";
import { writeSettings } from "../../stages/runs/settings-file.ts";
import { together } from "../../stages/flow/together.ts";
import { filesAt } from "../../store/places/files.ts";
import { forgetOperators } from "../../store/places/operator.ts";
import { endsWith } from "../../store/places/patience.ts";
import { assert, suite } from "../harness.ts";
import { writeRun } from "../simulate/fixture.ts";
import { environmentOf, noBucket, objectsOf, startBucket } from "../store/bucket-server.ts";
import { startTroubleProxy } from "../store/trouble-proxy.ts";
import { contents, recordingContext, tinySettings, writeSquares } from "../train/fixture.ts";

const test = suite("runs in a bucket");
const reason = noBucket();
const check = (name: string, body: () => Promise<void>): void => (reason ? test.skip(name, reason) : test(name, body, { seconds: 200 }));
const { endpoint } = reason ? { endpoint: "" } : await startBucket();
const root = mkdtempSync(join(tmpdir(), "onestep-mirror-"));
process.on("exit", () => rmSync(root, { recursive: true, force: true }));
let machines = 0;
const newMachine = (): void => {
  process.env.ONESTEP_CACHE = join(root, `machine-${machines++}`);
};

check("what is changed is sent, what is gone is taken away, and a folder becomes what lies there", async () => {
  const url = "s3://bucket/some/run";
  const folder = join(root, "a");
  const push = await fetched(url, folder);
  await push();
  for (const [name, text] of Object.entries({ "model.json": "{}", "b.txt": "b", ".lock": "mine", "c.txt": "c" })) {
    writeFileSync(join(folder, name), text);
  }
  await push();
  rmSync(join(folder, "c.txt"));
  writeFileSync(join(folder, "b.txt"), "b, longer");
  await filesAt(url).replace(`${url}/pictures/1.png`, "of another");
  await push();
  const hex = (text: string): string => Buffer.from(text).toString("hex");
  const expected = { "b.txt": hex("b, longer"), "model.json": hex("{}"), "pictures/1.png": hex("of another") };
  assert.equal(await objectsOf(endpoint, "some/run"), expected);
  writeFileSync(join(root, "a", "stale.txt"), "of an earlier run");
  mkdirSync(join(root, "a", "never", "sent"), { recursive: true });
  writeFileSync(join(root, "a", "never", "sent", "1.png"), "of a run that was stopped");
  await fetched(url, folder);
  assert.equal(await contents(folder, /^\./), expected);
  assert.equal(readdirSync(folder).includes("never"), false);
});

check("a folder says first what it is for, and a sending that was broken off is gone on with", async () => {
  const proxy = await startTroubleProxy(endpoint);
  Object.assign(process.env, environmentOf(proxy.endpoint));
  forgetOperators();
  try {
    for (const claim of ["run.json", "export.json"]) {
      const url = `s3://bucket/claimed/${claim}`;
      const folder = join(root, claim);
      const push = await fetched(url, folder);
      for (const name of ["a.txt", "checkpoint-00000002-0123456789abcdef.safetensors", "model.json", claim, "settings.yaml"]) {
        writeFileSync(join(folder, name), name);
      }
      const controller = new AbortController();
      const noLonger = endsWith(controller.signal);
      proxy.after(1, "busy").then(() => controller.abort(new Error("Ctrl-C")));
      await assert.rejects(push(), /Ctrl-C/);
      noLonger();
      assert.equal(Object.keys(await objectsOf(endpoint, `claimed/${claim}`)), [claim]);
      proxy.calm();
      await push();
      assert.is(Object.keys(await objectsOf(endpoint, `claimed/${claim}`)).length, 5);
    }
  } finally {
    proxy.close();
    Object.assign(process.env, environmentOf(endpoint));
    forgetOperators();
  }
});

check("a run has one name, with or without a slash at its end, and fetching one ends when it is stopped", async () => {
  newMachine();
  const names: string[] = [];
  for (const out of ["s3://bucket/named/run", "s3://bucket/named/run/"]) {
    const { context } = recordingContext();
    await inPlaceOf({ out, kind: "student", command: "train", context }, async ({ out, place }) => void names.push(`${out} ${place}`));
  }
  assert.is(names[0], names[1]);
  await filesAt("s3://").replace("s3://bucket/named/run/model.json", "{}");
  const stopped = new Error("stopped");
  await assert.rejects(fetchedRun("s3://bucket/named/run", { command: "sample", signal: AbortSignal.abort(stopped) }), /stopped/);
});

check("a training that is stopped goes on on another machine and ends as one that was not, bit by bit", async () => {
  const settings = tinySettings({
    simulate: { count: 16, rowsPerShard: 4 },
    train: { steps: 6, checkpointEvery: 2, pictureEvery: 2, distanceEvery: 2, distanceCount: 8, diffusion2gan: { perceptualWeight: 0 } },
  });
  newMachine();
  const teacher = await writeRun({ condition: "none" });
  const store = join(root, "triples");
  await simulate({ teacher, out: store, settings, context: recordingContext().context });
  const common = { teacher, store, settings };
  await train({ ...common, out: join(root, "alone"), context: recordingContext().context });

  const url = "s3://bucket/students/one/";
  const { context, stop, events } = recordingContext();
  const report: typeof context.report = (event) => {
    context.report(event);
    if (event.type === "progress" && event.stage === "train" && event.done === 5) stop(new Error("the machine is taken away"));
  };
  await assert.rejects(train({ ...common, out: url, context: { ...context, report } }), /taken away/);
  const there = Object.keys(await objectsOf(endpoint, "students/one"));
  assert.ok(
    there.some((name) => name.startsWith("checkpoint-00000004-")),
    String(there),
  );
  assert.ok(there.includes("pictures/0000004.png"));
  assert.not(JSON.stringify(events).includes(workingFolder(url)));

  newMachine();
  const second = recordingContext();
  await train({ ...common, out: url, context: second.context });
  assert.ok(second.events.some((event) => event.type === "note" && event.message === "resuming at step 5 of 6"));
  const expected = await contents(join(root, "alone"));
  const found = Object.entries(await objectsOf(endpoint, "students/one")).filter(([name]) => !/run\.html$|tensorboard/.test(name));
  assert.equal(Object.fromEntries(found), expected);
  assert.equal(Object.keys(expected).filter((name) => /weights|checkpoint|png|metrics/.test(name)).length > 5, true);
});

/** Does a work twice: into a folder, and under a URL on two machines of which one is taken away when `at` steps of `stage` are done. */
async function asInFolder(
  name: string,
  { stage, at }: { stage: string; at: number },
  work: (out: string, context: Context) => Promise<unknown>,
): Promise<Record<string, string>> {
  const folder = join(root, name);
  await work(folder, recordingContext().context);
  newMachine();
  const url = `s3://bucket/jobs/${name}`;
  const { context, stop } = recordingContext();
  const report: typeof context.report = (event) => {
    if (event.type === "progress" && event.stage === stage && event.done === at) stop(new Error("the machine is taken away"));
  };
  await assert.rejects(work(url, { ...context, report }), /taken away/);
  newMachine();
  await work(url, recordingContext().context);
  const [found, expected] = [await objectsOf(endpoint, `jobs/${name}`), await contents(folder, /^\.|\/\.|settings.yaml|checksums.json/)];
  const told = Object.entries(found).filter(([each]) => !/run\.html$|tensorboard|settings.yaml|checksums.json/.test(each));
  assert.equal(Object.fromEntries(told), expected);
  const machines = Buffer.from(join(root, "machine-")).toString("hex");
  assert.equal(
    Object.keys(found).filter((each) => found[each]?.includes(machines)),
    [], // no folder of one machine is named to another
  );
  return expected;
}

check("a training in phases under a URL, stopped and gone on with elsewhere, has the bytes of one in a folder", async () => {
  const own = { reflowSteps: 2, pairSteps: 2 };
  const settings = tinySettings({
    simulate: { count: 16, rowsPerShard: 4 },
    train: { method: "instaflow", steps: 4, checkpointEvery: 2, distanceEvery: 0, instaflow: own },
  });
  const teacher = await writeRun({ condition: "none" });
  const store = join(root, "triples");
  const files = await asInFolder("flow", { stage: "train", at: 3 }, (out, context) => train({ teacher, store, out, settings, context }));
  for (const name of ["reflow/model.json", "pairs/summary.json", "model.json"]) assert.ok(files[name], name);
});

check("a whole run under a URL, stopped and gone on with elsewhere, has the bytes of one in a folder", async () => {
  const tiny = tinySettings({ simulate: { count: 16, rowsPerShard: 4 }, train: { steps: 4, checkpointEvery: 2, distanceEvery: 0 } });
  const settings = { ...tiny, images: { ...tiny.images, size: 8 } }; // the teacher's
  const [images, teacher] = [await writeSquares(root), await writeRun({ condition: "none" })];
  const files = await asInFolder("whole", { stage: "train", at: 3 }, (out, context) =>
    run({ images: [images], teacher, out, settings, context }),
  );
  for (const name of ["latents/summary.json", "triples/summary.json", "student/model.json", "samples.png"]) assert.ok(files[name], name);
});

check("settings that name a part of the run name it by its URL, whichever context they are written with", async () => {
  const url = "s3://bucket/jobs/named";
  const { context } = recordingContext();
  await mirrored({ url, command: "train", context }, async ({ folder, context }) => {
    const tiny = tinySettings();
    const settings = { ...tiny, train: { ...tiny.train, perceptual: join(folder, "perceptual") } };
    await together(context, [(inner) => writeSettings(folder, settings, inner)]);
  });
  const { "settings.yaml": text = "" } = await objectsOf(endpoint, "jobs/named");
  assert.match(Buffer.from(text, "hex").toString(), /perceptual: s3:\/\/bucket\/jobs\/named\/perceptual\n/);
});

check("what stands there already is told in one sentence", async () => {
  const { context } = recordingContext();
  const store = join(root, "triples");
  const teacher = await writeRun({ condition: "none" });
  await filesAt("s3://").replace("s3://bucket/other/model.json", JSON.stringify({ role: "teacher" }));
  const into = train({ teacher, store, out: "s3://bucket/other", settings: tinySettings(), context });
  await assert.rejects(into, /Cannot train into s3:\/\/bucket\/other: it holds a teacher/);
  assert.ok(readdirSync(root).length > 0 && readFileSync(join(root, "triples/store.json")).length > 0);
});

test.run();
