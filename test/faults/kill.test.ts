/**
 * SIGKILL at random instants of ingest, simulate, reprocess, train and run, each time started again: the final folders are those of
 * an unbroken run, byte by byte. 6 kills, or as many as ONESTEP_KILLS says.
 */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { uniforms } from "../../schemas/numbers/philox.ts";
import { scriptWords } from "../fixtures/script.ts";
import { assert, suite } from "../harness.ts";
import { contentsOf, contextOf, freshFolder } from "../simulate/fixture.ts";
import { commands, type Job, prepareJob } from "./job.ts";

const test = suite("kills");
const kills = Number(process.env.ONESTEP_KILLS ?? 6);
const victim = fileURLToPath(new URL("victim.ts", import.meta.url));

let job: Job;
test.before(
  async () => {
    job = await prepareJob();
  },
  { seconds: 60 },
);

/** Runs a command in a process of its own and kills it `delay` ms after it is at work. Answers whether it was killed. */
function attempt(command: string, out: string, delay: number): Promise<boolean> {
  const args = [...scriptWords(victim), command, out, JSON.stringify(job)];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
  return new Promise((resolve, reject) => {
    let output = "";
    let timer: NodeJS.Timeout | undefined;
    child.stderr.on("data", (chunk) => (output += chunk));
    child.stdout.on("data", (chunk) => {
      output += chunk;
      timer ??= setTimeout(() => child.kill("SIGKILL"), delay);
    });
    child.on("error", reject);
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      if (signal === "SIGKILL") resolve(!output.includes("done"));
      else if (code === 0) resolve(false);
      else reject(new Error(`${command} ended with ${code ?? signal}: ${output}`));
    });
  });
}

/**
 * What must be the same: all but the grids and figures that `run` draws of the finished student, what tells the time, and the
 * settings of `run`'s student, which name the folder its images lie in.
 */
function resultOf(out: string): Record<string, string> {
  const others = /^(samples|evaluation)|report|run\.html$|tensorboard|^student\/settings\.yaml$/;
  return Object.fromEntries(Object.entries(contentsOf(out)).filter(([name]) => !others.test(name)));
}

const shares: [command: string, share: number, within: number][] = [
  ["ingest", 0.2, 120],
  ["simulate", 0.3, 400],
  ["reprocess", 0.15, 120],
  ["train", 0.2, 1500],
  ["run", 0.15, 2500],
];

for (const [command, share, within] of shares) {
  const wanted = Math.round(kills * share);
  test(
    `${command}: killed ${wanted} times`,
    async () => {
      const unbroken = freshFolder();
      await commands[command]!(job, unbroken, contextOf());
      const expected = resultOf(unbroken);
      let out = freshFolder();
      let killed = 0;
      let limit = within; // ms, shortened where the machine is fast enough to finish first
      for (let i = 0; killed < wanted; i++) {
        const [u] = uniforms({ seed: 9, stream: command, offset: i, length: 1 });
        if (await attempt(command, out, (u as number) * limit)) {
          killed++;
          continue;
        }
        limit *= 0.7;
        assert.equal(resultOf(out), expected, `finished after ${killed} kills`);
        out = freshFolder();
      }
      await commands[command]!(job, out, contextOf());
      assert.equal(resultOf(out), expected);
    },
    { seconds: 60 + 20 * wanted },
  );
}

test.run();
