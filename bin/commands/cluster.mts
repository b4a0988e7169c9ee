/** What a cluster's engine is given: a script or a manifest, printed and nothing more. */
import { badUsage } from "../../schemas/failure.ts";
import type { ClusterJob } from "../../stages/cluster/job.ts";
import type { podOf } from "../../stages/cluster/pod.ts";
import type { Question } from "../command.mts";

const engines = ["slurm", "kubernetes"];
const spread = ["simulate", "train"];

export const cluster: Question = {
  name: "cluster",
  summary: "print the script or manifest by which Slurm or Kubernetes runs a simulate or train command in many tasks",
  positionals: [
    { name: "ENGINE", about: "whose: slurm prints a script for sbatch, kubernetes the manifest of a Job", choices: engines },
    { name: "COMMAND", about: "after --, the words of a simulate or train command, without --part", many: true },
  ],
  flags: {
    tasks: { value: "N", about: "tasks that share the shards of a simulation; a training is one", whole: true, most: 100_000 },
    "at-once": { value: "N", about: "of these, how many run at once; all unless told", whole: true },
    gpus: { value: "N", about: "of a task; as many as its --device takes unless told, none for the CPU" },
    cpus: { value: "N", about: "of a task; 4 unless told", whole: true },
    memory: { value: "16G", about: "of a task, in megabytes (M) or gigabytes; 16G unless told" },
    retries: { value: "N", about: "how often a task that failed is started again; 5 unless told" },
    grace: { value: "SECONDS", about: "from the signal to stop to the end by force; 60 unless told", whole: true, most: 86_400 },
    name: { value: "NAME", about: "of the job; the command's unless told" },
    program: { value: "PATH", about: "what starts onestep there; pipeline unless told" },
    time: { value: "HH:MM:SS", about: "slurm: limit of a run, after which the task goes on in its next" },
    partition: { value: "NAME", about: "slurm: where it runs" },
    image: { value: "IMAGE", about: "kubernetes: the container image that has onestep" },
    claim: { value: "NAME:/PATH", about: "kubernetes: a volume claim, and where the command's folders find it" },
    secret: { value: "NAME", about: "kubernetes: a secret whose entries become variables, as a bucket's credentials" },
    account: { value: "NAME", about: "kubernetes: a service account, by which a cloud's buckets know the pod" },
    node: { value: "KEY=VALUE", about: "kubernetes: a label of the nodes that may run it, as their GPU's name" },
    disk: { value: "30G", about: "kubernetes: of the node's disk for what is kept of a bucket; 30G unless told" },
  },
  example: "pipeline cluster slurm --tasks 64 -- simulate --teacher teacher --out triples",
  answer: async ({ positionals: [engine, ...line], flags, check }) => {
    const { command, flags: asked, repeated, engine: computes } = await check(line);
    if (!spread.includes(command)) {
      throw badUsage(`Cannot print ${engine}'s file for ${command}: expected a command of ${spread.join(" or ")} after --`);
    }
    const foreign = Object.keys(cluster.flags).find((name) => flags[name] !== undefined && otherEngine(name, engine as string));
    if (foreign !== undefined) throw badUsage(`Cannot use --${foreign} with ${engine}: it is a setting of the other engine; leave it out`);
    const { jobOf } = await import("../../stages/cluster/job.ts");
    const job = jobOf({ flags, line, asked, engine: computes });
    return engine === "slurm" ? slurm(job, flags) : kubernetes(job, { flags, asked, repeated });
  },
};

/** Whether a flag is of another engine, as the beginning of its description says. */
const otherEngine = (flag: string, engine: string): boolean =>
  engines.some((other) => other !== engine && cluster.flags[flag]?.about.startsWith(`${other}:`));

/** Seconds before the end of a run that Slurm's --signal takes at most. */
const MOST_GRACE = 65_535;

async function slurm(job: ClusterJob, { time, partition }: Record<string, string | undefined>) {
  if (job.grace > MOST_GRACE) throw badUsage(`Cannot set --grace to "${job.grace}": Slurm takes at most ${MOST_GRACE} seconds`);
  const { secondsOfTime, slurmScript } = await import("../../stages/cluster/slurm.ts");
  const limit = time === undefined ? undefined : secondsOfTime(time);
  if (time !== undefined && limit === undefined)
    throw badUsage(`Cannot limit a run to --time "${time}": expected HH:MM:SS, as in 12:00:00`);
  // Slurm would tell it to stop when it begins; it would be put back into the queue, and begin again, for ever.
  if (limit && limit <= job.grace) {
    throw badUsage(
      `Cannot limit a run to --time ${time}: it is told to stop ${job.grace} seconds before (--grace); expected more than these`,
    );
  }
  if (partition !== undefined && !/^[\w.,-]+$/.test(partition)) throw badUsage(`Cannot use --partition "${partition}": expected its name`);
  return slurmScript(job, { ...(time !== undefined && { time }), ...(partition !== undefined && { partition }) }).trimEnd();
}

async function kubernetes(job: ClusterJob, options: Parameters<typeof podOf>[0]) {
  const { podOf } = await import("../../stages/cluster/pod.ts");
  const { kubernetesManifest } = await import("../../stages/cluster/kubernetes.ts");
  return kubernetesManifest(job, podOf(options)).trimEnd();
}
