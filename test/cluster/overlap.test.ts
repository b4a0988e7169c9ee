/** Two processes simulate into a bucket while a third trains on it: the student is that of one machine, bit by bit. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { filesAt } from "../../store/places/files.ts";
import { readersOf } from "../../store/shards/readers.ts";
import { openStore, presentShards } from "../../store/shards/store.ts";
import { verifyStore } from "../../store/making/verify.ts";
import { removedShards } from "../../store/records/present.ts";
import { assert, suite } from "../harness.ts";
import { writeRun } from "../simulate/fixture.ts";
import { noBucket, startBucket } from "../store/bucket-server.ts";

const test = suite("overlap across machines");
const pipeline = fileURLToPath(new URL("../../bin/pipeline", import.meta.url));
const root = mkdtempSync(join(tmpdir(), "onestep-overlap-"));
process.on("exit", () => rmSync(root, { recursive: true, force: true }));

/** A command in a process of its own. */
function begin(...words: string[]): { child: ChildProcess; ended: Promise<{ code: number | null; said: string }> } {
  const child = spawn(process.execPath, [pipeline, ...words], { stdio: ["ignore", "pipe", "pipe"], cwd: root });
  let said = "";
  child.stdout!.on("data", (text) => (said += text));
  child.stderr!.on("data", (text) => (said += text));
  return { child, ended: new Promise((resolve) => child.on("close", (code) => resolve({ code, said }))) };
}

async function run(...words: string[]): Promise<string> {
  const { code, said } = await begin(...words).ended;
  assert.is(code, 0, said);
  return said;
}

/** Waits until something is so; the test's own limit ends a wait in vain. */
async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isSo())) await setTimeout(100);
}

const set = (settings: Record<string, string | number | boolean>): string[] =>
  Object.entries(settings).flatMap(([key, value]) => ["--set", `${key}=${value}`]);
const simulation = { "simulate.rowsPerShard": 4, "simulate.batch": 4 };
const training = {
  ...{ "train.steps": 8, "train.batch": 4, "train.once": true, "train.window": 2, "train.checkpointEvery": 1, "train.warmup": 0 },
  ...{ "train.distanceEvery": 0, "train.pictureEvery": 100, "train.diffusion2gan.perceptualWeight": 0 },
};
const made = (folder: string): string[] =>
  ["weights.safetensors", "model.json", "metrics.jsonl"].map((name) => readFileSync(join(root, folder, name)).toString("hex"));

const reason = noBucket();
if (reason) test.skip("two simulations and a training in three processes", reason);
else {
  test(
    "two simulations and a training in three processes, the training killed once, give the student of one machine",
    async () => {
      await startBucket();
      process.env.ONESTEP_CACHE = join(root, "cache");
      const teacher = await writeRun({ condition: "none" });
      const common = ["--threads", "1", "--quiet"];
      const simulate = (out: string): string[] => [
        "simulate",
        "--teacher",
        teacher,
        "--out",
        out,
        "--count",
        "32",
        "--steps",
        "3",
        ...common,
      ];
      const train = (store: string, out: string): string[] => [
        ...["train", "--store", store, "--teacher", teacher, "--out", out, "--preset", "smoke", ...common],
        ...set(training),
      ];

      const url = "s3://bucket/triples";
      const near = set({ ...simulation, "simulate.lead": 1, "simulate.keep": "unread" });
      const makers = [1, 2].map((part) => begin(...simulate(url), "--part", `${part}/2`, ...near));
      const hasEnded = (): boolean => makers.some(({ child }) => child.exitCode !== null);
      await until(async () => hasEnded() || (await filesAt(url).size(`${url}/readers.json`)) !== undefined);
      const victim = begin(...train(url, "student"));
      await until(() => {
        if (victim.child.exitCode !== null) return true;
        return (
          readdirSync(root).includes("student") && readdirSync(join(root, "student")).some((name) => /^checkpoint-0000000[3-6]/.test(name))
        );
      });
      victim.child.kill("SIGKILL");
      const { said } = await victim.ended;
      const before = await presentShards(await openStore({ folder: url }));
      assert.ok(before.length < 8, `simulation went on alone: ${before} ${said}`);
      await run(...train(url, "student"));
      for (const { ended } of makers) {
        const { code, said } = await ended;
        assert.is(code, 0, said);
      }

      const store = await openStore({ folder: url });
      assert.equal(await removedShards(store), [1, 2, 3, 4, 5, 6, 7]);
      assert.equal(await presentShards(store), [0]);
      assert.equal(await verifyStore(store), []);
      const readers = await readersOf(store);
      assert.is(readers.length, 1);
      const refused = await begin(...train(url, "second")).ended;
      assert.is(refused.code, 1);
      assert.equal(await readersOf(store), readers); // nobody waits for it
      assert.match(refused.said, /was removed once the trainings of then had read it/);
      const again = await begin(...train(url, "third"), "--set", "train.once=false").ended;
      assert.is(again.code, 2);
      assert.match(again.said, /^Cannot train on s3:.* in several epochs: its shards are removed once they were read/);

      await run(...simulate("triples"), ...set(simulation));
      await run(...train("triples", "alone"));
      assert.equal(made("student"), made("alone"));
      assert.equal(
        Buffer.from((await filesAt(url).read(`${url}/summary.json`)) ?? []).toString(),
        readFileSync(join(root, "triples/summary.json"), "utf8"),
      );
    },
    { seconds: 280 },
  );
}

test.run();
