/** Ctrl-C while a bucket refuses or never answers: the command ends with 130, asks for nothing again, and is gone on with later. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { forgetOperators } from "../../store/places/operator.ts";
import { commandLine, type Spoken } from "../fixtures/command-line.ts";
import { assert, suite } from "../harness.ts";
import { writeRun } from "../simulate/fixture.ts";
import { environmentOf, noBucket, objectsOf, startBucket } from "../store/bucket-server.ts";
import { startTroubleProxy, type Trouble } from "../store/trouble-proxy.ts";
import { writeSquares } from "../train/fixture.ts";

const test = suite("Ctrl-C while a bucket is in trouble");
const reason = noBucket();
const url = (name: string): string => `s3://bucket/stops/${name}`;
const root = mkdtempSync(join(tmpdir(), "onestep-stops-"));
process.on("exit", () => rmSync(root, { recursive: true, force: true }));

if (reason) test.skip("commands end", reason);
else {
  const { endpoint } = await startBucket();
  const proxy = await startTroubleProxy(endpoint);
  Object.assign(process.env, environmentOf(proxy.endpoint), { ONESTEP_STORE_TIMEOUT: "3600", ONESTEP_CACHE: join(root, "cache") });
  forgetOperators();
  test.after(() => proxy.close());

  const [squares, teacher] = [await writeSquares(root), await writeRun({ condition: "none" })];
  const sets = (...assignments: string[]): string[] => assignments.flatMap((each) => ["--set", each]);
  const simulation = ["--count", "16", "--steps", "2", ...sets("simulate.rowsPerShard=4", "engine.threads=1")];
  const short = sets(
    ...["train.diffusion2gan.discriminator=teacher", "train.diffusion2gan.perceptualWeight=0", "train.steps=4", "train.batch=4"],
    ...["train.checkpointEvery=2", "train.distanceEvery=0", "train.pictureEvery=2", "engine.threads=1", "network.condition=none"],
  );
  const simulate = (out: string, ...more: string[]): string[] => ["simulate", "--teacher", teacher, "--out", out, ...simulation, ...more];
  const lines: Record<string, (out: string) => string[]> = {
    simulate: (out) => simulate(out),
    ingest: (out) => ["ingest", squares, "--out", out, "--size", "16", ...sets("encoder.rowsPerShard=8", "engine.threads=1")],
    train: (out) => ["train", "--store", url("simulate"), "--teacher", teacher, "--out", out, ...short],
    merge: (out) => ["merge", url("part-1"), url("part-2"), "--out", out],
    export: (out) => ["export", url("simulate"), "--format", "npy", "--out", out],
    inspect: () => ["inspect", url("simulate")],
    verify: () => ["verify", url("simulate")],
  };
  const ends = async (code: number, ...words: string[]): Promise<Spoken> => {
    const spoken = await commandLine(words);
    assert.is(spoken.code, code, `${words.join(" ")}\n${spoken.said}`);
    return spoken;
  };
  const made = async (name: string): Promise<[string, string][]> =>
    Object.entries(await objectsOf(endpoint, `stops/${name}`)).filter(
      ([each]) => !/run\.html$|tensorboard|settings.yaml|checksums/.test(each),
    );

  /** Runs a line until its requests are in trouble after so many, and stops it at the first of those. */
  async function stopped(words: string[], count: number, trouble: Trouble): Promise<void> {
    const controller = new AbortController();
    const begins = proxy.after(count, trouble).then(() => controller.abort());
    const { code, said } = await commandLine(words, { signal: controller.signal }).finally(() => proxy.calm());
    assert.is(code, 130, said);
    await begins;
    assert.not.match(said, /This is a mistake|^ +at /m);
    const asked = proxy.troubled.filter((each) => !each.includes("list-type")); // opendal goes on with a list itself
    const most = Math.max(...asked.map((each) => asked.filter((other) => other === each).length), 0);
    assert.ok(most <= 2, `asked again: ${asked.join("\n")}`); // clean-up may look for what was looked for before
  }

  test(
    "parts of a store are made",
    async () => {
      for (const part of ["1", "2"]) await ends(0, ...simulate(url(`part-${part}`), "--part", `${part}/2`));
    },
    { seconds: 300 },
  );

  for (const [name, line] of Object.entries(lines)) {
    test(
      `${name} ends at once, leaves no stack, and later makes the same bytes`,
      async () => {
        process.env.ONESTEP_CACHE = join(root, `cache-${name}`);
        const before = proxy.asked();
        await ends(0, ...line(url(name)));
        const whole = proxy.asked() - before;
        const expected = await made(name); // nothing, of those that only look
        for (const [trouble, share] of [
          ["busy", 0.3],
          ["hang", 0.6],
        ] as const) {
          const out = `${name}-${trouble}`;
          process.env.ONESTEP_CACHE = join(root, `cache-${out}`);
          await stopped(line(url(out)), Math.floor(share * whole), trouble);
          await ends(0, ...line(url(out)));
          assert.equal(await made(out), expected, out);
        }
      },
      { seconds: 300 },
    );
  }

  test(
    "a process leaves with 130 while a request has no answer",
    async () => {
      const begins = proxy.after(0, "hang");
      const child = spawn(process.execPath, [fileURLToPath(new URL("../../bin/pipeline", import.meta.url)), "inspect", url("simulate")], {
        env: { ...process.env, NODE_NO_WARNINGS: "1" },
        stdio: ["ignore", "ignore", "pipe"],
      });
      let said = "";
      child.stderr.on("data", (text) => (said += text));
      await begins;
      child.kill("SIGTERM");
      assert.equal(await once(child, "close"), [130, null], said);
      assert.match(said, /^\nStopping cleanly; once more to stop at once\.\nStopped\. The same command resumes: /);
      proxy.calm();
    },
    { seconds: 120 },
  );
}

test.run();
