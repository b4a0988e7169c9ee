import type { Figures, Result } from "../../stages/study/results.ts";
import { studyText, tableRows } from "../../stages/study/summary.ts";
import { assert, suite } from "../harness.ts";
import { twoVariants } from "./fixture.ts";

const test = suite("study summary");

const figures = (distance: number): Figures => ({
  frechetDistance: { mean: distance, spread: 0.1, count: 3 },
  precision: { mean: 0.5, spread: 0, count: 3 },
  recall: { mean: 0.25, spread: 0, count: 3 },
  samples: 200,
  images: 300,
  reference: "ab".repeat(32),
  features: "resnet20 01234567",
});
const result = (variant: string, seed: number, distance: number): Result => ({
  study: "two",
  variant,
  seed,
  run: `${variant}/${seed}`,
  training: "t",
  measurement: "m",
  figures: figures(distance),
});
const results = [result("fast", 0, 6), result("slow", 0, 3), result("fast", 1, 8)];
const baselines = { baseline: "b", evaluations: 35, teacher: figures(2), floor: figures(0.5) };

test("a row is a variant's mean and spread over its seeds; teacher and floor stand below", () => {
  const rows = tableRows({ study: twoVariants, results, baselines });
  assert.equal(
    rows.map(({ variant }) => variant),
    ["fast", "slow", "(teacher)", "(floor)"],
  );
  assert.equal(
    rows.map((row) => row["Fréchet distance"]),
    ["7 ± 1.4", "3", "2", "0.5"],
  ); // sqrt(2) of 6 and 8; one seed has no spread
  assert.equal(
    rows.map((row) => row["times the teacher's"]),
    ["3.5", "1.5", "1", "0.25"],
  );
  assert.equal(
    rows.map(({ seeds }) => seeds),
    [2, 1, "", ""],
  );
  assert.ok(rows.every((row) => String(Object.keys(row)) === String(Object.keys(rows[0]!))));
  assert.equal(
    tableRows({ study: twoVariants, results: results.slice(0, 1) }).map((row) => Object.keys(row).includes("times the teacher's")),
    [false],
  );
});

test("energies of the finest band stand against the teacher's once that is measured, in decibels", () => {
  const banded = (of: Figures, decibels: number): Figures => ({ ...of, finestBand: { mean: decibels, count: 1 } });
  const all = results.map((one, i) => ({ ...one, figures: banded(one.figures, [-3, 1, -2][i] as number) }));
  const before = tableRows({ study: twoVariants, results: all });
  assert.equal(
    before.map((row) => row["finest band against the reference's, dB"]),
    ["-2.5 ± 0.71", "1"],
  );
  const after = tableRows({ study: twoVariants, results: all, baselines: { ...baselines, teacher: banded(baselines.teacher, -0.5) } });
  assert.equal(
    after.map((row) => row["finest band against the teacher's, dB"]),
    ["-2 ± 0.71", "1.5", "0", ""],
  );
});

test("the report says what was measured with what, and where the published numbers come from", () => {
  const text = studyText({
    study: twoVariants,
    results,
    baselines,
    facts: { training: "6 steps of 4" },
    charts: [{ file: "study.svg", about: "Fréchet distance of each variant" }],
  });
  for (const line of [
    '# Study "two": two rates',
    "- training: 6 steps of 4",
    "- samples: 200 against 300 images",
    "- reference: abababababab",
    "| slow | 3 | 1 | 1.5 | 0.5 | 0.25 | 1 | a low rate |",
    "![Fréchet distance of each variant](study.svg)",
    "- Best to worst: slow, fast.",
    "- slow is below fast by 4: open: the seeds do not decide it; as published.",
  ]) {
    assert.ok(text.split("\n").includes(line), `"${line}" is missing in:\n${text}`);
  }
  assert.match(text, /^Published: nobody\./m);
});

test.run();
