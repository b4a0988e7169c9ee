/** A job that a cluster's engine is to run, as its script and its manifest are filled in from. */
import { badUsage } from "../../schemas/failure.ts";
import { isUrl } from "../../store/place.ts";

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

type Flags = Readonly<Record<string, string | undefined>>;

/**
 * Throws a usage failure where a command of a pod would write its output beside all volumes: it would go with the pod, and each of many
 * tasks would make the whole of it.
 */
export function checkVolume({ out }: Flags, claim: { path: string } | undefined): void {
  if (out === undefined || isUrl(out) || (claim && `${out}/`.startsWith(`${claim.path.replace(/\/+$/, "")}/`))) return;
  const remedy = claim ? `a path in ${claim.path}` : "a volume, as with --claim data:/data and --out /data/triples";
  throw badUsage(`Cannot write --out ${out} in a pod: it is on no volume, and goes when the pod ends; name a URL, or ${remedy}`);
}

/**
 * The job that flags of `pipeline cluster` ask for. Throws a usage failure where a value is none.
 *
 * @param line - the words of the command, of which `--part` is filled in where there are several tasks
 * @param asked - the flags that these words give the command
 */
export function jobOf({ flags, line, asked }: { flags: Flags; line: readonly string[]; asked: Flags }): ClusterJob {
  const [command = ""] = line;
  const isShared = command !== "train";
  const tasks = flags.tasks === undefined ? undefined : Number(flags.tasks);
  if (isShared && tasks === undefined) throw badUsage(`Missing --tasks N of cluster: say how many tasks share the shards of ${command}`);
  if (!isShared && (tasks ?? 1) > 1) {
    throw badUsage(
      `Cannot spread train over ${tasks} tasks: a training is one task, which is started again where it stopped; leave --tasks out`,
    );
  }
  const part = ["part", "shards"].find((flag) => asked[flag] !== undefined);
  if (part !== undefined) throw badUsage(`Cannot fill in --${part} of ${command}: cluster gives each task its part; leave it out`);
  const repair = ["repair", "retry"].find((flag) => asked[flag] !== undefined);
  if (isShared && repair !== undefined) {
    throw badUsage(`Cannot spread --${repair} over tasks: run it as one process, when the tasks have ended`);
  }
  const name = flags.name ?? command;
  if (!/^[a-z0-9]([a-z0-9-]{0,50}[a-z0-9])?$/.test(name)) {
    throw badUsage(`Cannot call a job "${name}": expected up to 52 small letters, digits and dashes, as in --name simulate-sd15`);
  }
  const [, amount = "", unit = ""] = /^([1-9]\d{0,6})(M|G)$/.exec(flags.memory ?? "16G") ?? [];
  if (amount === "") throw badUsage(`Cannot ask for --memory "${flags.memory}": expected megabytes or gigabytes, as in 16G`);
  const gpus = flags.gpus ?? "1";
  if (!/^\d{1,2}$/.test(gpus)) throw badUsage(`Cannot ask for --gpus "${gpus}": expected a whole number from 0 to 99`);
  const cards = asked.device?.split(",").length ?? 1;
  if (cards > 1 && cards > Number(gpus)) {
    throw badUsage(
      `Cannot run ${command} on --device ${asked.device} with --gpus ${gpus}: a task sees its own cards alone; expected --gpus ${cards}`,
    );
  }
  const retries = flags.retries ?? "5";
  if (!/^\d{1,3}$/.test(retries))
    throw badUsage(`Cannot start a task again --retries "${retries}" times: expected a whole number from 0 to 999`);
  return {
    ...{ name, tasks: isShared ? tasks : undefined, program: flags.program ?? "pipeline", gpus: Number(gpus) },
    atOnce: flags["at-once"] === undefined ? undefined : Number(flags["at-once"]),
    words: isShared ? [...line, "--part", `auto/${tasks}`] : line,
    memory: { amount: Number(amount), unit: unit as "M" | "G" },
    cpus: Number(flags.cpus ?? 4),
    retries: Number(retries),
    grace: Number(flags.grace ?? 60),
  };
}
