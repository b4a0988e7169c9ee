/** Which part of the work this process is to do, as the engine that started it says: `--part auto/N`. */
import { badUsage } from "../../schemas/failure.ts";
import { visible } from "../../schemas/visible.ts";
import type { WorkShare } from "../../store/making/share.ts";

/** How an engine tells a task its number, and what array it is of. */
interface Engine {
  name: string;
  /** The variable that holds a task's number. */
  index: string;
  /** The least number that a task can have. */
  from: number;
  /** The variable that holds how many tasks there are, where the engine tells. */
  count?: string;
  /** Those that hold the least and the largest number of this submission and the step between two, where an array may begin anywhere. */
  least?: string;
  most?: string;
  step?: string;
}

/**
 * SkyPilot first, because its tasks run under another of these. Slurm's as version 22.05 sets them, SkyPilot's and AWS Batch's as their
 * sources and documents have them in 2026; LSF and Grid Engine count from 1, and have 0 or "undefined" where a job is no array.
 */
const engines: readonly Engine[] = [
  { name: "SkyPilot", index: "SKYPILOT_JOB_RANK", from: 0, count: "SKYPILOT_NUM_JOBS" },
  {
    ...{ name: "Slurm", index: "SLURM_ARRAY_TASK_ID", from: 0, count: "SLURM_ARRAY_TASK_COUNT" },
    ...{ least: "SLURM_ARRAY_TASK_MIN", most: "SLURM_ARRAY_TASK_MAX", step: "SLURM_ARRAY_TASK_STEP" },
  },
  { name: "Kubernetes", index: "JOB_COMPLETION_INDEX", from: 0 },
  { name: "AWS Batch", index: "AWS_BATCH_JOB_ARRAY_INDEX", from: 0, count: "AWS_BATCH_JOB_ARRAY_SIZE" },
  { name: "Google Batch", index: "BATCH_TASK_INDEX", from: 0, count: "BATCH_TASK_COUNT" },
  { name: "Cloud Run jobs", index: "CLOUD_RUN_TASK_INDEX", from: 0, count: "CLOUD_RUN_TASK_COUNT" },
  { name: "PBS", index: "PBS_ARRAY_INDEX", from: 0 },
  { name: "LSF", index: "LSB_JOBINDEX", from: 1, most: "LSB_JOBINDEX_END" },
  {
    ...{ name: "Grid Engine", index: "SGE_TASK_ID", from: 1 },
    ...{ least: "SGE_TASK_FIRST", most: "SGE_TASK_LAST", step: "SGE_TASK_STEPSIZE" },
  },
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
  const refused = (why: string) => badUsage(`Cannot make part "${text}": ${why}`);
  if (given !== undefined && !/^[1-9]\d{0,8}$/.test(given)) {
    throw refused("expected --part auto/N with a whole number N of parts, as in auto/64");
  }
  const engine = engines.find(({ index, from }) => (numberIn(env, index) ?? -1) >= from);
  if (!engine) throw refused(noNumber(env));
  const { name, index } = engine;
  const number = numberIn(env, index) as number;
  const { tasks, isCounted, span, place } = arrayOf(engine, env, number);
  if (given !== undefined) {
    const parts = Number(given);
    if (tasks !== undefined && isCounted && tasks > parts) {
      throw refused(`${name} started ${tasks} tasks, so that some would share a part; expected --part auto/${tasks}`);
    }
    // Numbers as far apart as N may meet when they are wrapped around it; the places of an array's tasks never do.
    const wrapped = isCounted && span >= parts ? (place ?? number) : number - engine.from;
    return { part: `${(wrapped % parts) + 1}/${parts}`, others: true };
  }
  if (!tasks) throw refused(`${name} does not tell a task how many there are; say it, as in --part auto/64`);
  if (place === undefined) throw refused(`${name}'s array has gaps, so that a task does not know its place; say N, as in --part auto/64`);
  if (place < 0 || place >= tasks) throw refused(`${index} is ${number}, of ${tasks} tasks; say N, as in --part auto/64`);
  return { part: `${place + 1}/${tasks}`, others: true };
}

/** The array that a task is of, as far as its engine tells. */
interface TaskArray {
  tasks: number | undefined;
  /** Whether that is how many there are; of an array that may begin anywhere the largest number alone does not say so. */
  isCounted: boolean;
  /** From the least number to the largest. */
  span: number;
  /** How many of its tasks have lower numbers; undefined where steps differ, as in 1,2,5. */
  place: number | undefined;
}

function arrayOf({ from, count, least, most, step }: Engine, env: Environment, number: number): TaskArray {
  const [told, first, last] = [count, least, most].map((name) => numberIn(env, name));
  const start = first ?? from;
  const by = numberIn(env, step) || 1;
  const span = last === undefined ? 0 : last - start;
  const even = last === undefined ? told : Math.floor(span / by) + 1;
  const place = (number - start) / by;
  const isEven = (told === undefined || told === even) && Number.isInteger(place);
  return { tasks: told ?? even, isCounted: told !== undefined || first !== undefined, span, place: isEven ? place : undefined };
}

/** Why no engine tells a task its number: a variable that holds none, or no variable. */
function noNumber(env: Environment): string {
  const wrong = engines.find(({ index }) => !["", "0", "undefined", undefined].includes(env[index]));
  if (wrong)
    return `${wrong.index} (${wrong.name}) is "${visible(env[wrong.index] ?? "")}"; expected a task's number from ${wrong.from} on`;
  const names = engines.map(({ name, index }) => `${index} (${name})`).join(", ");
  return `no engine tells this task its number; expected one of ${names}, or --part i/n`;
}

/** The whole number that a variable holds; undefined where it holds none, as of a job that is no array. */
function numberIn(env: Environment, name: string | undefined): number | undefined {
  const text = name === undefined ? undefined : env[name];
  return text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : undefined;
}
