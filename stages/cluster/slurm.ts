/** A job as a script for Slurm's sbatch. */
import { quoted } from "../../schemas/quoted.ts";
import type { ClusterJob } from "./job.ts";

/**
 * Seconds of a time as Slurm reads it: minutes, M:S, H:M:S, D-H, D-H:M or D-H:M:S; undefined for anything else.
 *
 * @example
 * import { secondsOfTime } from "./slurm.ts";
 * assert.deepEqual(["90", "12:00:00", "1-12", "an hour"].map(secondsOfTime), [5400, 43_200, 129_600, undefined]);
 */
export function secondsOfTime(text: string): number | undefined {
  const [, days, clock] = /^(?:(\d+)-)?(\d+(?::\d\d){0,2})$/.exec(text) ?? [];
  if (clock === undefined) return undefined;
  const parts = clock.split(":").map(Number);
  const [hours = 0, minutes = 0, seconds = 0] = days !== undefined || parts.length === 3 ? parts : [0, ...parts];
  return 86_400 * Number(days ?? 0) + 3600 * hours + 60 * minutes + seconds;
}

/**
 * The script of a job. A task that ends by a signal (exit 130 or 143: a time limit, a preemption) is put back into the queue, one that
 * failed up to `retries` times, a wrong command (2) never; Slurm itself tries again after a node failure alone. `time` is a limit of a run,
 * not of the work: a task that meets it goes on in its next run.
 */
export function slurmScript(job: ClusterJob, { time, partition }: { time?: string; partition?: string } = {}): string {
  const { name, tasks, atOnce, program, words, cpus, gpus, memory, retries, grace } = job;
  const isArray = tasks !== undefined;
  const limits = [
    ...(isArray ? [`--array=0-${tasks - 1}${atOnce === undefined ? "" : `%${atOnce}`}`] : []),
    ...(partition === undefined ? [] : [`--partition=${partition}`]),
    `--cpus-per-task=${cpus}`,
    `--mem=${memory.amount}${memory.unit}`,
    ...(gpus > 0 ? [`--gres=gpu:${gpus}`] : []),
    ...(time === undefined ? [] : [`--time=${time}`]),
  ];
  // By its array name: the last task of an array has the number of the whole of it, and by that all its tasks would start again.
  const task = isArray ? `"$SLURM_ARRAY_JOB_ID"_"$SLURM_ARRAY_TASK_ID"` : "$SLURM_JOB_ID";
  const made = isArray && tasks > 1 ? `${tasks} tasks that make one store` : "One task";
  return `#!/usr/bin/env bash
# ${made}: sbatch THIS-FILE. After an end: the same again makes what is missing.
#SBATCH --job-name=${name}
${limits.map((limit) => `#SBATCH ${limit}`).join("\n")}
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=${name}-${isArray ? "%a" : "%j"}.log
#SBATCH --signal=B:TERM@${grace}
set -uo pipefail

# In the background: bash hands a signal on only while it waits. Node stops cleanly on it and keeps what is done.
${[program, ...words].map(quoted).join(" ")} &
child=$!
trap 'kill -TERM $child 2>/dev/null' TERM INT
wait $child
code=$?
while kill -0 $child 2>/dev/null; do wait $child; code=$?; done

# 0 done, 1 failed, 2 a wrong command, 130 stopped by a signal, 143 too, before Node could listen.
# A task that was cancelled is not running any more, and stays ended.
stopped=$([ $code -eq 130 ] || [ $code -eq 143 ] && echo yes)
if [ "$stopped" ] || { [ $code -ne 0 ] && [ $code -ne 2 ] && [ "\${SLURM_RESTART_COUNT:-0}" -lt ${retries} ]; }; then
  task=${task}
  if squeue -h -j "$task" -t running -o %T | grep -q .; then scontrol requeue "$task"; fi
fi
exit $code
`;
}
