/** A job that a cluster's engine is to run, as its script and its manifest are filled in from. */
import { badUsage } from "../../schemas/failure.ts";

export interface ClusterJob {
  /** Of the job, as the engines take it: small letters, digits and dashes. */
  name: string;
  /** Tasks side by side, each with its share of one store; undefined for one task that makes all, as a training. */
  tasks: number | undefined;
  /** Of these, how many at most run at once. */
  atOnce: number | undefined;
  /** What starts onestep, and the words after it. */
  program: string;
  words: readonly string[];
  /** Of each task. */
  cpus: number;
  gpus: number;
  memory: { amount: number; unit: "M" | "G" };
  /** How often a task that failed is started again. */
  retries: number;
  /** Seconds from the signal to stop to the end by force. */
  grace: number;
}

/**
 * The job that flags of `pipeline cluster` ask for. Throws a usage failure where a value is none.
 *
 * @param line - the command, of which `--part` is filled in where there are several tasks
 */
export function jobOf({ flags, line }: { flags: Record<string, string | undefined>; line: readonly string[] }): ClusterJob {
  const [command = ""] = line;
  const isShared = command !== "train";
  const tasks = flags.tasks === undefined ? undefined : Number(flags.tasks);
  if (isShared && tasks === undefined) throw badUsage(`Missing --tasks N of cluster: say how many tasks share the shards of ${command}`);
  if (!isShared && (tasks ?? 1) > 1) {
    throw badUsage(
      `Cannot spread train over ${tasks} tasks: a training is one task, which is started again where it stopped; leave --tasks out`,
    );
  }
  const part = line.find((word) => /^--(part|shards)(=|$)/.test(word));
  if (part !== undefined) throw badUsage(`Cannot fill in "${part}" of ${command}: cluster gives each task its part; leave it out`);
  const repair = line.find((word) => word === "--repair" || word === "--retry");
  if (isShared && repair !== undefined)
    throw badUsage(`Cannot spread ${repair} over tasks: run it as one process, when the tasks have ended`);
  const name = flags.name ?? command;
  if (!/^[a-z0-9]([a-z0-9-]{0,50}[a-z0-9])?$/.test(name)) {
    throw badUsage(`Cannot call a job "${name}": expected up to 52 small letters, digits and dashes, as in --name simulate-sd15`);
  }
  const [, amount = "", unit = ""] = /^([1-9]\d{0,6})(M|G)$/.exec(flags.memory ?? "16G") ?? [];
  if (amount === "") throw badUsage(`Cannot ask for --memory "${flags.memory}": expected megabytes or gigabytes, as in 16G`);
  const gpus = flags.gpus ?? "1";
  if (!/^\d{1,2}$/.test(gpus))
    throw badUsage(`Cannot ask for --gpus "${gpus}": expected a whole number from 0 on; simulate uses one a task`);
  return {
    ...{ name, tasks: isShared ? tasks : undefined, program: flags.program ?? "pipeline", gpus: Number(gpus) },
    atOnce: flags["at-once"] === undefined ? undefined : Number(flags["at-once"]),
    words: isShared ? [...line, "--part", `auto/${tasks}`] : line,
    memory: { amount: Number(amount), unit: unit as "M" | "G" },
    cpus: Number(flags.cpus ?? 4),
    retries: Number(flags.retries ?? 5),
    grace: Number(flags.grace ?? 60),
  };
}
