/** Which part of the work this process is to do, as the engine that started it says: `--part auto/N`. */
import { badUsage } from "../../schemas/failure.ts";
import type { WorkShare } from "../../store/share.ts";

interface Engine {
  name: string;
  /** The variable that holds a task's number. */
  index: string;
  /** The number of the first task of an array, where the engine has it fixed. */
  from: number;
  /** The variables that hold the least number of this submission and the step between two, where an array may begin anywhere. */
  least?: string;
  step?: string;
  /** The variable that holds how many tasks there are, where the engine tells. */
  count?: string;
}

/**
 * SkyPilot first, because its tasks run under another of these. Slurm's, SkyPilot's and AWS Batch's as their sources and documents have
 * them in 2026; LSF and Grid Engine count from 1, and have 0 or "undefined" where a job is no array.
 */
const engines: readonly Engine[] = [
  { name: "SkyPilot", index: "SKYPILOT_JOB_RANK", from: 0, count: "SKYPILOT_NUM_JOBS" },
  {
    ...{ name: "Slurm", index: "SLURM_ARRAY_TASK_ID", from: 0, count: "SLURM_ARRAY_TASK_COUNT" },
    ...{ least: "SLURM_ARRAY_TASK_MIN", step: "SLURM_ARRAY_TASK_STEP" },
  },
  { name: "Kubernetes", index: "JOB_COMPLETION_INDEX", from: 0 },
  { name: "AWS Batch", index: "AWS_BATCH_JOB_ARRAY_INDEX", from: 0, count: "AWS_BATCH_JOB_ARRAY_SIZE" },
  { name: "Google Batch", index: "BATCH_TASK_INDEX", from: 0, count: "BATCH_TASK_COUNT" },
  { name: "Cloud Run jobs", index: "CLOUD_RUN_TASK_INDEX", from: 0, count: "CLOUD_RUN_TASK_COUNT" },
  { name: "PBS", index: "PBS_ARRAY_INDEX", from: 0 },
  { name: "LSF", index: "LSB_JOBINDEX", from: 1, count: "LSB_JOBINDEX_END" },
  { name: "Grid Engine", index: "SGE_TASK_ID", from: 1, count: "SGE_TASK_LAST" },
];

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * `auto/N` or `auto` as the part i/N of the task that `env` describes, which then makes what is missing of other parts too; any other
 * text, and none, as it is. With N given, task number t makes part t mod N, so that a task that is submitted again, alone, makes the part
 * it made before; without, the tasks of this submission are counted. Throws a usage failure where no engine is known by its variables, N
 * is no number, is not told, or is less than the tasks.
 *
 * @example
 * import { partOf } from "./engines.ts";
 * assert.deepEqual(partOf("auto/8", { JOB_COMPLETION_INDEX: "2" }), { part: "3/8", others: true });
 * assert.deepEqual(partOf("2/8", {}), { part: "2/8" });
 */
export function partOf(text: string | undefined, env: Environment): Pick<WorkShare, "part" | "others"> {
  const [, given] = /^auto(?:\/(.*))?$/.exec(text ?? "") ?? [];
  if (text === undefined || !/^auto(\/|$)/.test(text)) return { part: text };
  if (given !== undefined && !/^[1-9]\d{0,8}$/.test(given)) {
    throw badUsage(`Cannot make part "${text}": expected --part auto/N with a whole number N of parts, as in auto/64`);
  }
  const engine = engines.find(({ index, from }) => (numberIn(env, index) ?? -1) >= from);
  if (!engine) {
    const names = engines.map(({ name, index }) => `${index} (${name})`).join(", ");
    throw badUsage(`Cannot make part "${text}": no engine tells this task its number; expected one of ${names}, or --part i/n`);
  }
  const { name, index, from, least, step, count } = engine;
  const tasks = numberIn(env, count);
  if (given === undefined && !tasks) {
    throw badUsage(`Cannot make part "${text}": ${name} does not tell a task how many there are; say it, as in --part auto/64`);
  }
  const parts = Number(given ?? tasks);
  if (tasks !== undefined && tasks > parts) {
    throw badUsage(
      `Cannot make part "${text}": ${name} started ${tasks} tasks, so that some would share a part; expected --part auto/${tasks}`,
    );
  }
  const number = (numberIn(env, index) as number) - from;
  if (given !== undefined) return { part: `${(number % parts) + 1}/${parts}`, others: true };
  const place = (number - (numberIn(env, least) ?? 0)) / (numberIn(env, step) || 1);
  return { part: `${(place % parts) + 1}/${parts}`, others: true };
}

/** The whole number that a variable holds; undefined where it holds none, as of a job that is no array. */
function numberIn(env: Environment, name: string | undefined): number | undefined {
  const text = name === undefined ? undefined : env[name];
  return text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : undefined;
}
