/** Recall over training, out of the runs' own histories. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { settingsSchema } from "../../recipes/settings.ts";
import { courseInWords, recallChart, recallCourses } from "../../stages/study/over-training.ts";
import { planStudy, studyNamed } from "../../stages/study/plan.ts";
import type { Result } from "../../stages/study/results.ts";
import { assert, suite } from "../harness.ts";
import { freshFolder } from "../simulate/fixture.ts";

const test = suite("recall over training");

const study = studyNamed("cooperation");

test("the study of YOSO's real side differs in nothing else, and keeps what the last step made", () => {
  const settings = settingsSchema.parse({});
  const jobs = planStudy({ study, settings, seeds: 3, images: "latents" });
  assert.is(jobs.length, 6);
  for (const { variant, settings: of } of jobs) {
    assert.equal([of.train.method, of.train.distanceRecall, of.train.keep], ["yoso", true, "last"]);
    assert.is((of.train.yoso as { adversarial: string }).adversarial, variant.name);
  }
  assert.equal(planStudy({ study, settings, seeds: 1 }), [], "it needs images");
});

test("means and ranges are over the seeds, of steps that all have; torn lines and runs without recall are passed over", async () => {
  const folder = freshFolder();
  const results = [
    ["cooperative/0", [0.5, 0.6, 0.7]],
    ["cooperative/1", [0.3, 0.8]],
    ["data/0", []],
  ].map(([run, recalls]) => {
    const [variant, seed] = (run as string).split("/") as [string, string];
    mkdirSync(join(folder, run as string), { recursive: true });
    const lines = (recalls as number[]).map((recall, i) => JSON.stringify({ step: 10 * (i + 1), loss: 1, recall }));
    writeFileSync(join(folder, run as string, "metrics.jsonl"), ['{"step":5,"loss":2}', ...lines, '{"step":99,"rec'].join("\n"));
    return { variant, seed: Number(seed), run } as Result;
  });
  const courses = await recallCourses(folder, { study, results });
  assert.equal(courses, [
    {
      name: "cooperative",
      points: [
        { x: 10, y: 0.4, low: 0.3, high: 0.5 },
        { x: 20, y: 0.7, low: 0.6, high: 0.8 },
      ],
    },
  ]);
  assert.is(courseInWords(courses[0]!), "cooperative: recall 0.70 at step 20, after 0.70 at step 20 at most.");
  assert.match(String(recallChart(courses)), /^<svg/);
});

test.run();
