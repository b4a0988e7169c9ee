/** A worker that fails in the middle of `run`: what the user sees, and what is left. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { isTemporary } from "../../store/places/atomic.ts";
import type { Fault } from "../fixtures/faulty.ts";
import { scriptWords } from "../fixtures/script.ts";
import { assert, suite } from "../harness.ts";
import { SIZE, writeRun } from "../simulate/fixture.ts";
import { inFolder, writeSquares } from "../train/fixture.ts";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const preload = new URL("../fixtures/fault.mjs", import.meta.url).href;

const test = suite("crash");

/** Runs a command line, with a fault in one of its workers. */
async function command(args: string[], fault?: Fault): Promise<{ code: number; out: string; err: string }> {
  const child = spawn(process.execPath, [...scriptWords(join(root, "test/fixtures/counting-command.ts")), ...args], {
    cwd: root,
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, NODE_NO_WARNINGS: "1", ...(fault && { FAULT: JSON.stringify(fault), NODE_OPTIONS: `--import ${preload}` }) },
  });
  let [out, err] = ["", ""];
  child.stdout.on("data", (text) => (out += text));
  child.stderr.on("data", (text) => (err += text));
  const [code] = await once(child, "close");
  return { code, out, err };
}

const faults: [fault: Fault, says: RegExp, plain: boolean][] = [
  [
    { module: "/sampler", method: "solve", call: 2, how: "runtime" },
    new RegExp(
      '^Compute worker "teacher sampler" ran out of memory during "solve", ' +
        "asking for \\d+ bytes; lower simulate.batch, or end other programs$",
      "m",
    ),
    true,
  ],
  [
    { module: "/workers/trainer", method: "step", call: 2, how: "exit" },
    /Compute worker "student trainer" ended with code 7 during "step"$/m,
    false,
  ],
];

test(
  "a worker that fails ends the whole run with its name and code 1; the same command goes on",
  () =>
    inFolder(async (folder) => {
      const images = await writeSquares(folder);
      const at = (name: string): string => join(folder, name);
      const teacher = await writeRun({ condition: "none" });
      const settings = [
        `images.size=${SIZE}`,
        "evaluate.count=8",
        "simulate.rowsPerShard=4",
        "encoder.rowsPerShard=8",
        "train.diffusion2gan.perceptualWeight=0",
        "train.steps=6",
        "train.stepsPerShard=1",
      ];
      const words = ["run", images, "--preset", "smoke", "--threads", "2", "--teacher", teacher, "--quiet"];
      for (const setting of settings) words.push("--set", setting);
      for (const [fault, says, plain] of faults) {
        const out = at(basename(fault.module));
        const { code, out: said, err } = await command([...words, "--out", out], fault);
        assert.is(code, 1, err);
        assert.match(err, says);
        assert.not(err.includes("onnxruntime:"), err); // its log says nothing beside it
        assert.is(err.includes("This is a mistake in onestep"), !plain, err);
        assert.match(said, /^workers left: 0$/m);
        const left = (await readdir(out, { recursive: true })).filter((name) => isTemporary(basename(name)));
        assert.equal(left, []);
      }
      const { code, err } = await command([...words, "--out", at("trainer")]);
      assert.is(code, 0, err);
    }),
  { seconds: 240 },
);

test.run();
