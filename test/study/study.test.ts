import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { study } from "../../pipelines/study.ts";
import type { PipelineEvent } from "../../schemas/events.ts";
import { everyMethod } from "../../stages/study/every-method.ts";
import { findingsOf, studyRecordSchema } from "../../stages/study/record.ts";
import type { Needed } from "../../stages/study/needed.ts";
import { tableRows } from "../../stages/study/summary.ts";
import { assert, suite } from "../harness.ts";
import { contentsOf, contextOf, freshFolder } from "../simulate/fixture.ts";
import { type Ground, layGround, twoVariants } from "./fixture.ts";

const test = suite("study");

let ground: Ground;
test.before(
  async () => {
    ground = await layGround();
  },
  { seconds: 120 },
);

const request = () => ({ ...ground, name: "two", seeds: 1, studies: [twoVariants] });
/** All but what tells of time. */
const lasting = (folder: string) =>
  Object.fromEntries(Object.entries(contentsOf(folder)).filter(([name]) => !/times\.jsonl|run\.html|tfevents/.test(name)));

test(
  "a study killed in the middle of a run and of a measurement gives, started again, the bytes of an unbroken one",
  async () => {
    const [whole, broken] = [freshFolder(), freshFolder()];
    const events: PipelineEvent[] = [];
    const results = await study({
      ...request(),
      out: whole,
      command: "pipeline study two",
      context: contextOf((event) => events.push(event)),
    });
    assert.equal(
      results.map(({ run }) => run),
      ["fast/0", "slow/0"],
    );
    assert.ok(results.every(({ figures }) => figures.frechetDistance.mean > 0 && figures.images === 128));
    const table = events.find((event) => event.type === "table");
    assert.is(table?.type === "table" && table.rows.length, 3); // two variants and the teacher; the reference is too small to be halved
    const record = JSON.parse(await readFile(join(whole, "study.json"), "utf8"));
    assert.is(record.command, "pipeline study two");
    assert.equal(record.results, results);
    assert.is(record.baselines.teacher.frechetDistance.mean > 0, true);

    for (const stage of ["slow/0", "evaluate student of seed 5"]) {
      const context = contextOf((event) => {
        if (event.type === "progress" && event.stage === stage && event.done === 3) context.controller.abort(new Error("stopped"));
      });
      await assert.rejects(study({ ...request(), out: broken, context }), "stopped");
    }
    const made: string[] = [];
    await study({
      ...request(),
      out: broken,
      command: "pipeline study two",
      context: contextOf((event) => event.type === "progress" && made.push(event.stage)),
    });
    assert.equal([...new Set(made)], ["evaluate reference", "evaluate student of seed 5", "evaluate teacher of seed 5"]);
    assert.equal(lasting(broken), lasting(whole));

    const idle: string[] = [];
    await study({ ...request(), out: broken, context: contextOf((event) => event.type === "progress" && idle.push(event.stage)) });
    assert.equal(idle, []); // all is done
    const longer = { ...ground.settings, train: { ...ground.settings.train, steps: 8 } };
    const again = { ...request(), out: broken, context: contextOf() };
    await assert.rejects(
      study({ ...again, settings: longer }),
      /Cannot go on with the study .*: fast\/0 was trained with other data or settings/,
    );
    const other = { ...twoVariants, name: "other" };
    await assert.rejects(
      study({ ...again, name: "other", studies: [other] }),
      /Cannot put the study "other" into .*: it holds the study "two"/,
    );
  },
  { seconds: 240 },
);

test(
  "a run that fails is named and passed over; the others are measured",
  async () => {
    const out = freshFolder();
    const [good] = twoVariants.variants;
    const bad = { name: "bad", about: "no such network", changes: {}, training: { learningRate: 1e30 } };
    const studies = [{ ...twoVariants, variants: [bad, good!] }];
    const warnings: string[] = [];
    const context = contextOf((event) => event.type === "warning" && warnings.push(event.message));
    const message = /Cannot finish the study .*: bad\/0 failed. The same command tries them again/;
    await assert.rejects(study({ ...request(), studies, out, context }), message);
    assert.match(warnings[0]!, /^bad\/0 failed and is passed over: Cannot go on training/);
    assert.match(await readFile(join(out, "study.md"), "utf8"), /^\| fast \|/m);
  },
  { seconds: 120 },
);

test(
  "methods are compared by their recipes at the calls they were made for, with what each needed",
  async () => {
    const out = freshFolder();
    const { settings } = ground;
    const studied = { ...request(), name: "methods", studies: [everyMethod()], only: ["regression", "instaflow"], out };
    const train = { ...settings.train, instaflow: { ...(settings.train.instaflow as object), pairSteps: 3 } };
    const results = await study({ ...studied, settings: { ...settings, train }, context: contextOf() });
    assert.equal(
      results.map(({ run, calls }) => [run, calls?.map((at) => at.calls)]),
      [
        ["regression/0", [1]],
        ["instaflow/0", [1]],
      ],
    );
    const [regression, instaflow] = results.map(({ needed }) => needed!) as [Needed, Needed];
    assert.equal([regression.seen, instaflow.seen], [6 * 4, 6 * 4]); // of InstaFlow half of it is reflow
    assert.is(regression.trained, regression.parameters);
    assert.equal([regression.triples, regression.teacherCalls, regression.images], [24, 24 * 3, false]);
    assert.ok(instaflow.disk > regression.disk); // it keeps pairs of its own
    const record = studyRecordSchema.parse(JSON.parse(await readFile(join(out, "study.json"), "utf8")));
    assert.equal(
      tableRows(findingsOf(record)).map(({ method, seeds }) => [method, seeds]),
      [
        ["regression", 1],
        ["instaflow", 1],
        ["(teacher, 3 calls)", ""],
      ],
    );
    assert.is(record.results[0]!.calls![0]!.frechetDistance.mean, results[0]!.figures.frechetDistance.mean);
    assert.match(await readFile(join(out, "study.md"), "utf8"), /^\| regression \| 1 \| [\d.]+ \|  \|  \|  \|/m);
    assert.match(await readFile(join(out, "calls.svg"), "utf8"), /network calls/);
  },
  { seconds: 240 },
);

test.run();
