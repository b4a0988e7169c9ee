/** A job that a cluster's engine is to run, as its script and its manifest are filled in from. */
import { badUsage } from "../../schemas/failure.ts";
import type { EngineSettings } from "../../schemas/settings.ts";

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
  memory: Amount;
  /** How often a task that failed is started again. */
  retries: number;
  /** Seconds from the signal to stop to the end by force. */
  grace: number;
}

/** Of memory or of a disk, in binary megabytes or gigabytes. */
export interface Amount {
  amount: number;
  unit: "M" | "G";
}

type Flags = Readonly<Record<string, string | undefined>>;
type Computes = Pick<EngineSettings, "device" | "cards" | "threads">;

/**
 * The job that flags of `pipeline cluster` ask for. Throws a usage failure where a value is none.
 *
 * @param line - the words of the command, of which `--part` is filled in where there are several tasks, and `--threads` where nothing says
 * how many: a task that is given four of a machine's cores sees them all
 * @param asked - the flags that these words give the command
 * @param engine - what computes; undefined where a file says it that is not here
 */
export function jobOf(options: { flags: Flags; line: readonly string[]; asked: Flags; engine?: Computes | undefined }): ClusterJob {
  const { flags, line, asked, engine } = options;
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
  const retries = flags.retries ?? "5";
  if (!/^\d{1,3}$/.test(retries))
    throw badUsage(`Cannot start a task again --retries "${retries}" times: expected a whole number from 0 to 999`);
  const cpus = Number(flags.cpus ?? 4);
  const share = isShared ? ["--part", `auto/${tasks}`] : [];
  return {
    ...{ name, cpus, program: flags.program ?? "pipeline", tasks: isShared ? tasks : undefined },
    atOnce: flags["at-once"] === undefined ? undefined : Number(flags["at-once"]),
    words: [...line, ...(engine?.threads === 0 ? ["--threads", String(cpus)] : []), ...share],
    gpus: gpusOf({ command, told: flags.gpus, asked, engine }),
    memory: amountOf("memory", flags.memory ?? "16G"),
    retries: Number(retries),
    grace: Number(flags.grace ?? 60),
  };
}

/** `16G` or `900M`, of the flag of that name. */
export function amountOf(flag: string, text: string): Amount {
  const [, amount = "", unit = ""] = /^([1-9]\d{0,6})(M|G)$/.exec(text) ?? [];
  if (amount === "") throw badUsage(`Cannot ask for --${flag} "${text}": expected megabytes or gigabytes, as in 16G`);
  return { amount: Number(amount), unit: unit as "M" | "G" };
}

/** How many cards a task is given: as many as it computes on, none where that is the CPU. */
function gpusOf(options: { command: string; told: string | undefined; asked: Flags; engine: Computes | undefined }): number {
  const { command, told, asked, engine } = options;
  const device = engine?.device ?? asked.device ?? "";
  const cards = engine?.cards ?? [...device.matchAll(/:(\d+)/g)].map(([, card]) => Number(card));
  const gpus = told ?? (device === "cpu" ? "0" : String(cards.length || 1));
  if (!/^\d{1,2}$/.test(gpus)) throw badUsage(`Cannot ask for --gpus "${gpus}": expected a whole number from 0 to 99`);
  if (device === "cpu" && Number(gpus) > 0) {
    throw badUsage(
      `Cannot ask for --gpus ${gpus}: ${command} computes on the CPU unless told; give it --device webgpu or cuda, or leave --gpus out`,
    );
  }
  if (cards.some((card) => card >= Math.max(cards.length, Number(gpus))) || cards.length > Number(gpus)) {
    const named = cards.map((card) => `cuda:${card}`).join(",");
    const remedy = cards.length > Number(gpus) ? `expected --gpus ${cards.length}` : "their numbers begin with cuda:0";
    throw badUsage(`Cannot run ${command} on ${named} with --gpus ${gpus}: a task sees its own cards alone; ${remedy}`);
  }
  return Number(gpus);
}
