/** Which part a task makes, by the variables that each engine documents. */
import { partOf } from "../../stages/cluster/engines.ts";
import { assert, suite } from "../harness.ts";

const test = suite("parts that engines tell");

/** What Slurm 22.05 tells task `id` of an array. */
function slurm(id: number, step: number, min: number, count: number, max: number): Record<string, string> {
  const told = { ID: id, STEP: step, MIN: min, COUNT: count, MAX: max };
  return Object.fromEntries(Object.entries(told).map(([name, value]) => [`SLURM_ARRAY_TASK_${name}`, String(value)]));
}

/** Of a task of each engine: its variables, N in `auto/N` or none, and its part. */
const table: [Record<string, string>, number | undefined, string][] = [
  [{ SLURM_ARRAY_TASK_ID: "0", SLURM_ARRAY_TASK_COUNT: "4", SLURM_ARRAY_TASK_MIN: "0", SLURM_ARRAY_TASK_STEP: "1" }, 4, "1/4"],
  // --array=5,7
  [{ SLURM_ARRAY_TASK_ID: "7", SLURM_ARRAY_TASK_COUNT: "2", SLURM_ARRAY_TASK_MIN: "5", SLURM_ARRAY_TASK_STEP: "2" }, 8, "8/8"],
  [{ SLURM_ARRAY_TASK_ID: "12", SLURM_ARRAY_TASK_COUNT: "3", SLURM_ARRAY_TASK_MIN: "10" }, undefined, "3/3"],
  [{ SLURM_ARRAY_TASK_ID: "14", SLURM_ARRAY_TASK_COUNT: "3", SLURM_ARRAY_TASK_MIN: "10", SLURM_ARRAY_TASK_STEP: "2" }, undefined, "3/3"],
  [{ SLURM_ARRAY_TASK_ID: "4", SLURM_ARRAY_TASK_COUNT: "4", SLURM_ARRAY_TASK_MIN: "1" }, 4, "1/4"], // --array=1-4: all parts, each once
  // --array=0-14:2: the numbers of two tasks are the same mod 8, their places are not
  [slurm(8, 2, 0, 8, 14), 8, "5/8"],
  [slurm(10, 2, 0, 8, 14), 16, "11/16"],
  [slurm(15, 5, 10, 3, 20), undefined, "2/3"],
  [slurm(70, 1, 3, 3, 70), 64, "7/64"], // --array=3,17,70
  [{ JOB_COMPLETION_INDEX: "63" }, 64, "64/64"],
  [{ AWS_BATCH_JOB_ARRAY_INDEX: "2", AWS_BATCH_JOB_ARRAY_SIZE: "10" }, undefined, "3/10"],
  [{ AWS_BATCH_JOB_ARRAY_INDEX: "2", AWS_BATCH_JOB_ARRAY_SIZE: "10" }, 16, "3/16"],
  [{ BATCH_TASK_INDEX: "1", BATCH_TASK_COUNT: "2" }, undefined, "2/2"],
  [{ CLOUD_RUN_TASK_INDEX: "0", CLOUD_RUN_TASK_COUNT: "5" }, undefined, "1/5"],
  [{ SKYPILOT_JOB_RANK: "3", SKYPILOT_NUM_JOBS: "8" }, undefined, "4/8"],
  [{ SKYPILOT_JOB_RANK: "3", SKYPILOT_NUM_JOBS: "8", JOB_COMPLETION_INDEX: "0" }, undefined, "4/8"],
  [{ PBS_ARRAY_INDEX: "5" }, 6, "6/6"],
  [{ LSB_JOBINDEX: "1", LSB_JOBINDEX_END: "6" }, undefined, "1/6"],
  [{ LSB_JOBINDEX: "6" }, 6, "6/6"],
  [{ LSB_JOBINDEX: "103", LSB_JOBINDEX_END: "108" }, 8, "7/8"], // [101-108]: the largest number does not say how many there are
  [{ SGE_TASK_ID: "2", SGE_TASK_LAST: "4" }, undefined, "2/4"],
  [{ SGE_TASK_ID: "6", SGE_TASK_FIRST: "2", SGE_TASK_LAST: "16", SGE_TASK_STEPSIZE: "2" }, undefined, "3/8"],
  [{ SGE_TASK_ID: "6", SGE_TASK_FIRST: "2", SGE_TASK_LAST: "16", SGE_TASK_STEPSIZE: "2" }, 8, "3/8"],
  [{ SGE_TASK_ID: "7", SGE_TASK_FIRST: "7", SGE_TASK_LAST: "7", SGE_TASK_STEPSIZE: "1" }, 8, "7/8"], // once more, alone
];

test("the index of every engine, from 0 or from 1, with N given and without", () => {
  for (const [env, n, part] of table) {
    assert.equal(partOf(n === undefined ? "auto" : `auto/${n}`, env), { part, others: true }, JSON.stringify(env));
  }
});

test("every task of an array has a part of its own", () => {
  for (const from of [0, 1, 100]) {
    for (const step of [1, 7, 8]) {
      const parts = (text: string) =>
        Array.from({ length: 7 }, (_, i) => partOf(text, slurm(from + step * i, step, from, 7, from + 6 * step)).part);
      for (const text of ["auto/7", "auto/9", "auto"]) assert.is(new Set(parts(text)).size, 7, `${text} from ${from} by ${step}`);
    }
  }
});

test("an explicit part is left as it is, and what cannot be told is refused in a sentence", () => {
  assert.equal(partOf("2/8", { JOB_COMPLETION_INDEX: "0" }), { part: "2/8" });
  assert.equal(partOf(undefined, {}), { part: undefined });
  assert.throws(() => partOf("auto/4", {}), /no engine tells this task its number; expected one of .*JOB_COMPLETION_INDEX \(Kubernetes\)/);
  assert.throws(() => partOf("auto/4", { SGE_TASK_ID: "undefined", LSB_JOBINDEX: "0" }), /no engine tells/);
  assert.throws(() => partOf("auto", { JOB_COMPLETION_INDEX: "1" }), /Kubernetes does not tell a task how many there are/);
  for (const text of ["auto/0", "auto/x", "auto/", "auto/-1", "auto/4/2"]) {
    assert.throws(() => partOf(text, { JOB_COMPLETION_INDEX: "1" }), /expected --part auto\/N with a whole number/);
  }
  assert.throws(() => partOf("auto", slurm(2, 2, 1, 5, 9)), /Slurm's array has gaps.*say N/); // --array=1,2,5-9:2
  assert.throws(() => partOf("auto", slurm(5, 1, 5, 2, 7)), /Slurm's array has gaps.*say N/); // --array=5,7
  assert.throws(() => partOf("auto/4", { SLURM_ARRAY_TASK_ID: "-1" }), /SLURM_ARRAY_TASK_ID \(Slurm\) is "-1"; expected a task's number/);
  assert.throws(() => partOf("auto/4", { JOB_COMPLETION_INDEX: "1.5" }), /JOB_COMPLETION_INDEX \(Kubernetes\) is "1.5"/);
  assert.throws(() => partOf("auto", { CLOUD_RUN_TASK_INDEX: "9", CLOUD_RUN_TASK_COUNT: "5" }), /CLOUD_RUN_TASK_INDEX is 9, of 5 tasks/);
  const many = { AWS_BATCH_JOB_ARRAY_INDEX: "2", AWS_BATCH_JOB_ARRAY_SIZE: "10" };
  assert.throws(() => partOf("auto/4", many), /AWS Batch started 10 tasks.*expected --part auto\/10/);
});

test.run();
