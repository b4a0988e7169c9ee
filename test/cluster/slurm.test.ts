/**
 * A real Slurm on this machine (../shared/cluster) runs the script that `pipeline cluster slurm` prints: four tasks, one of them killed
 * and one told to stop, make the store of one process. The slow form lets a whole node die too:
 * ONESTEP_SLURM=node node test/run.mjs cluster/slurm
 */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { assert, suite } from "../harness.ts";
import { contentsOf, writeRun } from "../simulate/fixture.ts";

const test = suite("a store made under Slurm");
const cluster = fileURLToPath(new URL("../../../shared/cluster/start.sh", import.meta.url));
const pipeline = fileURLToPath(new URL("../../bin/pipeline", import.meta.url));

const lacking = [
  [spawnSync("sbatch", ["--version"]).error !== undefined, "there is no sbatch (../shared/cluster/start.sh installs it)"],
  [process.getuid?.() !== 0, "only root can start Slurm's daemons"],
  [!existsSync(cluster), `there is no ${cluster}`],
].find(([isLacking]) => isLacking)?.[1];

/** Processes whose environment has these lines: those of a task, or of a node. */
function processesWith(...lines: string[]): number[] {
  return readdirSync("/proc").flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const environment = readFileSync(`/proc/${name}/environ`, "utf8").split("\0");
      return lines.every((line) => environment.includes(line)) ? [Number(name)] : [];
    } catch {
      return []; // it has ended
    }
  });
}

const commandOf = (pid: number): string => readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
const parentOf = (pid: number): number => Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);

async function waitFor(what: string, isSo: () => boolean): Promise<void> {
  for (let tries = 0; !isSo(); tries++) {
    if (tries === 2000) throw new Error(`waited in vain for ${what}`);
    await setTimeout(150);
  }
}

if (typeof lacking === "string") test.skip("four tasks, one killed, one stopped", lacking);
else {
  test(
    "four tasks, one killed, one stopped, make the store of one process",
    async () => {
      const folder = mkdtempSync(join(tmpdir(), "onestep-slurm-"));
      const home = join(folder, "slurm");
      const run = (program: string, args: string[]) =>
        execFileSync(program, args, { cwd: folder, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"], env });
      const env = { ...process.env, SLURM_CONF: join(home, "slurm.conf") };
      mkdirSync(home);
      execFileSync("bash", [cluster, home], { stdio: ["ignore", "ignore", "pipe"] });
      try {
        const teacher = await writeRun();
        const settings = [
          "--count",
          "240",
          "--steps",
          "40",
          "--set",
          "simulate.rowsPerShard=8",
          "--set",
          "simulate.batch=4",
          "--threads",
          "1",
        ];
        const line = (out: string) => ["simulate", "--teacher", teacher, "--out", join(folder, out), ...settings, "--quiet"];
        run(pipeline, line("single"));
        const resources = ["--tasks", "4", "--cpus", "1", "--gpus", "0", "--memory", "300M", "--program", pipeline];
        writeFileSync(join(folder, "simulate.sbatch"), run(pipeline, ["cluster", "slurm", ...resources, "--", ...line("array")]));
        const id = run("sbatch", ["--parsable", "simulate.sbatch"]).trim();
        const shards = () => (existsSync(join(folder, "array/shards")) ? readdirSync(join(folder, "array/shards")).length : 0);
        await waitFor("the first shard", () => shards() > 0);

        const victim = processesWith(`SLURM_ARRAY_JOB_ID=${id}`, "SLURM_ARRAY_TASK_ID=2").find((pid) => /node/.test(commandOf(pid)));
        if (victim) process.kill(victim, "SIGKILL");
        spawnSync("scancel", ["--batch", "--signal=TERM", `${id}_1`], { env });
        if (process.env.ONESTEP_SLURM === "node") killNode(home, id);
        await waitFor("the tasks to end", () => run("squeue", ["-h", "-j", id]).trim() === "");

        const logs = readdirSync(folder).filter((name) => name.endsWith(".log"));
        const said = logs.map((name) => `${name}:\n${readFileSync(join(folder, name), "utf8")}`).join("\n");
        assert.equal(contentsOf(join(folder, "array")), contentsOf(join(folder, "single")), said);
        assert.ok(victim, "a task was killed");
      } finally {
        execFileSync("bash", [cluster, "--stop", home], { stdio: "ignore" });
        for (const pid of processesWith(`SLURM_CONF=${env.SLURM_CONF}`).filter((pid) => commandOf(pid).startsWith("slurmd"))) {
          process.kill(pid, "SIGKILL"); // the node that came up again may not have said its number yet
        }
        rmSync(folder, { recursive: true, force: true });
      }
    },
    { seconds: 400 },
  );
}

/** SIGKILL to the daemon of node n1 and to all that it runs; another daemon comes up in its place after a while. */
function killNode(home: string, id: string): void {
  const tasks = processesWith(`SLURM_ARRAY_JOB_ID=${id}`, "SLURMD_NODENAME=n1");
  const steps = [...new Set(tasks.map(parentOf).filter((pid) => pid > 1 && commandOf(pid).startsWith("slurmstepd")))];
  for (const pid of [...steps, ...tasks, Number(readFileSync(join(home, "slurmd-n1.pid"), "utf8"))]) process.kill(pid, "SIGKILL");
  const how = { env: { ...process.env, SLURM_CONF: join(home, "slurm.conf") }, detached: true, stdio: "ignore" } as const;
  const again = () => spawn("slurmd", ["-N", "n1"], how).unref();
  void setTimeout(40_000, undefined, { ref: false }).then(again); // later than SlurmdTimeout: it is seen to be dead
}

test.run();
