/** Which part a task makes, by the variables that each engine documents. */
import { partOf } from "../../stages/cluster/engines.ts";
import { assert, suite } from "../harness.ts";

const test = suite("parts that engines tell");

/** Of a task of each engine: its variables, N in `auto/N` or none, and its part. */
const table: [Record<string, string>, number | undefined, string][] = [
  [{ SLURM_ARRAY_TASK_ID: "0", SLURM_ARRAY_TASK_COUNT: "4", SLURM_ARRAY_TASK_MIN: "0", SLURM_ARRAY_TASK_STEP: "1" }, 4, "1/4"],
  // --array=5,7
  [{ SLURM_ARRAY_TASK_ID: "7", SLURM_ARRAY_TASK_COUNT: "2", SLURM_ARRAY_TASK_MIN: "5", SLURM_ARRAY_TASK_STEP: "2" }, 8, "8/8"],
  [{ SLURM_ARRAY_TASK_ID: "12", SLURM_ARRAY_TASK_COUNT: "3", SLURM_ARRAY_TASK_MIN: "10" }, undefined, "3/3"],
  [{ SLURM_ARRAY_TASK_ID: "14", SLURM_ARRAY_TASK_COUNT: "3", SLURM_ARRAY_TASK_MIN: "10", SLURM_ARRAY_TASK_STEP: "2" }, undefined, "3/3"],
  [{ SLURM_ARRAY_TASK_ID: "4", SLURM_ARRAY_TASK_COUNT: "4", SLURM_ARRAY_TASK_MIN: "1" }, 4, "1/4"], // --array=1-4: all parts, each once
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
  [{ SGE_TASK_ID: "2", SGE_TASK_LAST: "4" }, undefined, "2/4"],
];

test("the index of every engine, from 0 or from 1, with N given and without", () => {
  for (const [env, n, part] of table) {
    assert.equal(partOf(n === undefined ? "auto" : `auto/${n}`, env), { part, others: true }, JSON.stringify(env));
  }
});

test("every task of an array has a part of its own", () => {
  for (const from of [0, 1, 100]) {
    const parts = Array.from({ length: 7 }, (_, i) => partOf("auto/7", { SLURM_ARRAY_TASK_ID: String(from + i) }).part);
    assert.is(new Set(parts).size, 7);
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
  const many = { AWS_BATCH_JOB_ARRAY_INDEX: "2", AWS_BATCH_JOB_ARRAY_SIZE: "10" };
  assert.throws(() => partOf("auto/4", many), /AWS Batch started 10 tasks.*expected --part auto\/10/);
});

test.run();
