/** What an engine does before it takes a machine away: SIGTERM, and SIGKILL when the grace period is over. */
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { openStore, presentShards } from "../../store/shards/store.ts";
import { verifyStore } from "../../store/making/verify.ts";
import { assert, suite } from "../harness.ts";
import { writeRun } from "../simulate/fixture.ts";

const test = suite("the grace period");
const pipeline = fileURLToPath(new URL("../../bin/pipeline", import.meta.url));
const root = mkdtempSync(join(tmpdir(), "onestep-grace-"));
process.on("exit", () => rmSync(root, { recursive: true, force: true }));

/** Runs a command that is told to end once `isUnderWay`, far from its own end; its code, once it has ended. */
async function told(words: string[], isUnderWay: () => boolean): Promise<{ code: number | null; said: string }> {
  const child = spawn(process.execPath, [pipeline, ...words, "--threads", "1"], { stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => (said += text));
  const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
  while (!isUnderWay()) {
    if (child.exitCode !== null || child.signalCode !== null) throw new Error(`it has ended before it was under way: ${said}`);
    await setTimeout(100);
  }
  child.kill("SIGTERM");
  return { code: await ended, said };
}

test(
  "simulate and train end within it, keep what they have done and go on from there",
  async () => {
    const teacher = await writeRun({ condition: "none" });
    const [triples, student] = [join(root, "triples"), join(root, "student")];
    const names = (folder: string): string[] => (existsSync(folder) ? readdirSync(folder) : []);
    const shards = ["--steps", "20", "--set", "simulate.rowsPerShard=4", "--set", "simulate.batch=4"];
    const many = await told(["simulate", "--teacher", teacher, "--out", triples, "--count", "40000", ...shards], () => {
      return names(join(triples, "shards")).filter((name) => /^\d+\.parquet$/.test(name)).length > 1; // others are being written
    });
    assert.is(many.code, 130, many.said);
    const store = await openStore({ folder: triples });
    assert.ok((await presentShards(store)).length > 1);
    assert.equal(await verifyStore(store), []);

    const few = ["--set", "train.checkpointEvery=2", "--set", "train.distanceEvery=0", "--method", "hipa", "--preset", "smoke"];
    const training = await told(
      ["train", "--store", triples, "--teacher", teacher, "--out", student, "--steps", "100000", "--set", "train.batch=4", ...few],
      () => names(student).some((name) => name.startsWith("checkpoint-")),
    );
    assert.is(training.code, 130, training.said);
    assert.match(training.said, /The same command resumes/);
  },
  { seconds: 240 },
);

test("a program that still loads is stopped with 130", async () => {
  const early = join(root, "early.cjs");
  // The first turn of the event loop comes when bin/pipeline has run, and before what it imports is there.
  writeFileSync(early, 'setTimeout(() => process.kill(process.pid, "SIGTERM"), 0);');
  const child = spawn(process.execPath, ["--require", early, pipeline, "methods"], { stdio: "ignore" });
  assert.is(await new Promise((resolve) => child.on("close", (code, signal) => resolve(code ?? signal))), 130);
});

test.run();
