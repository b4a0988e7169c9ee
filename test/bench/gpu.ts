/**
 * What gpu.sh measures, piece by piece, each in a process of its own with a limit, until SECONDS_IN_ALL (570) are over: what has no time
 * left is said to be left out, and every figure is in the file of `--out` (a folder) as soon as it is known. `--dry` takes tiny shapes and
 * seconds, to see that every piece runs.
 */
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { findDriver, withDriver } from "../engine/software-gpu.ts";
import { GPU_DIT } from "./peers/shapes.ts";
import { startSide } from "./peers/side.ts";
import { median } from "./peers/turns.ts";
import { openBench, rounded } from "./record.ts";
import { utilisation } from "./utilisation.ts";

const { values } = parseArgs({ options: { dry: { type: "boolean" }, out: { type: "string" }, device: { type: "string" } } });
const { dry = false, out = mkdtempSync(join(tmpdir(), "onestep-gpu-")), device = "webgpu" } = values;
mkdirSync(out, { recursive: true });
process.argv.splice(2, Infinity, "--out", join(out, "gpu.json"), ...(dry ? ["dry"] : []));
const { settings, record } = openBench({ SECONDS_IN_ALL: "570", PYTHON: process.env.ONESTEP_PYTHON || "python3" });
const { SECONDS_IN_ALL, PYTHON } = settings;

const began = performance.now();
const left = (): number => Number(SECONDS_IN_ALL) - (performance.now() - began) / 1000;
const runner = process.execArgv; // what loads TypeScript, where Node does not by itself
const file = (name: string): string => new URL(name, import.meta.url).pathname;
const root = file("../..");

/** The environment of what runs on the GPU: a driver that pretends to be one where a dry run finds no card. */
const hasCard = (await output("nvidia-smi", ["-L"], { seconds: 10 })).code === 0;
const driver = dry && !hasCard ? findDriver() : undefined;
const environment: NodeJS.ProcessEnv = { ...(driver ? withDriver(driver) : process.env), DEVICE: device };

interface Answer {
  code: number | string;
  text: string;
}

/** Runs a program to its end or its limit; what it printed. */
function output(program: string, words: string[], options: { seconds: number; env?: NodeJS.ProcessEnv }): Promise<Answer> {
  const { seconds, env = process.env } = options;
  return new Promise((resolve) => {
    const how = {
      timeout: Math.round(1000 * Math.max(1, seconds)),
      killSignal: "SIGINT",
      env,
      cwd: file("../../"),
      maxBuffer: 2 ** 26,
    } as const;
    execFile(program, words, how, (error, stdout, stderr) => {
      const code = error ? (error.killed ? "no time left" : (error.code ?? String(error.signal))) : 0;
      resolve({ code, text: `${stdout}\n${stderr}`.trim() });
    });
  });
}

/** One line of the table. */
function row(piece: string, on: string, figures: { median?: number; fastest?: number; rate?: string; note?: string }): void {
  const { median = Number.NaN, fastest = Number.NaN, rate = "", note = "" } = figures;
  const shown = (value: number): number | string => (Number.isNaN(value) ? "" : rounded(value));
  record({ piece, on, "median, ms": shown(median), "fastest, ms": shown(fastest), rate, note });
  console.log(
    [piece.padEnd(16), on.padEnd(30), String(shown(median)).padStart(9), String(shown(fastest)).padStart(9), rate, note].join("  "),
  );
}

const lastLines = (text: string, count = 1): string => text.split("\n").slice(-count).join(" ").trim().slice(0, 200);

console.log(["piece".padEnd(16), "on".padEnd(30), "median ms".padStart(9), "fastest".padStart(9), "rate", "note"].join("  "));

// 1. What is here.
if (hasCard) row("devices", "nvidia-smi", { note: lastLines((await output("nvidia-smi", ["-L"], { seconds: 10 })).text) });
const doctor = await output(process.execPath, ["bin/pipeline", "doctor"], { seconds: Math.min(60, left()), env: environment });
const said = (name: string): string => new RegExp(`^ *${name} +(.*)$`, "m").exec(doctor.text)?.[1] ?? lastLines(doctor.text);
for (const name of ["webgpu", "cuda", "tensorflow"]) row("devices", name, { note: said(name) });
const torch = await output(PYTHON, ["-c", "import torch; print(torch.__version__, torch.cuda.is_available())"], { seconds: 60 });
const [torchVersion = "", hasTorchCuda] = torch.code === 0 ? lastLines(torch.text).split(" ") : [];
row("devices", "PyTorch", { note: torchVersion ? `${torchVersion}, CUDA ${hasTorchCuda}` : `left out: ${PYTHON} has no PyTorch` });
const canRun = said(device) === "ready";
if (!canRun) row("all that follows", device, { note: `left out: ${said(device)}` });

// 2. Parity: a case of each kernel.
if (canRun) {
  const report = join(out, "parity.json");
  const env = {
    ...environment,
    ONESTEP_PARITY_DEVICE: device,
    ONESTEP_PARITY_CASES: "1",
    ONESTEP_TEST_REPORT: report,
    NVIDIA_TF32_OVERRIDE: "0",
  };
  const only = dry ? { ONESTEP_PARITY_KERNEL: "Tanh" } : {};
  const words = [...runner, join(root, "test/engine/parity.test.ts")];
  const { text } = await output(process.execPath, words, { seconds: Math.min(120, left()), env: { ...env, ...only } });
  const failed = [...text.matchAll(/^ *FAIL +parity +"(.*)"$/gm)].map(([, name]) => name);
  row("parity", device, {
    rate: /\((\d+ \/ \d+)\)/.exec(text)?.[1] ?? "",
    note: failed.length > 0 ? `not ${failed.join(", ")}` : "",
  });
}

// 3. Steps and sampling, ours and PyTorch's on the same card.
const size = dry ? "tiny" : "gpu";
const ours = (precision: string) => ({
  on: `onestep, ${device} ${precision}`,
  command: [process.execPath, ...runner, file("peers/ours.ts")],
  env: { ...environment, PRECISION: precision } as Record<string, string>,
});
const torchOn = hasTorchCuda === "True" ? "cuda" : "cpu";
const theirs = (precision: string, compile = "0") => ({
  on: `PyTorch ${precision}${compile === "1" ? ", torch.compile" : ""}`,
  command: [PYTHON, file("peers/peers.py")],
  env: { DEVICE: torchOn, PRECISION: precision, COMPILE: compile, THREADS: "1" },
});
/** A dry run takes few sides a program: on a processor that pretends to be a GPU each takes seconds to compile. */
const DRY: Record<string, string[]> = {
  ...{ "tiny-dit": ["single", "float32"], "tiny-sample": ["half", "bfloat16"], "tiny-unet": ["tf32"] },
  "tiny-ode": ["single"],
};
const sides = [
  ...(canRun ? [ours("single"), ours("half")] : []),
  ...(torchVersion && (dry || torchOn === "cuda") ? [theirs("float32"), theirs("tf32"), theirs("bfloat16")] : []),
  ...(torchVersion && !dry && torchOn === "cuda" ? [theirs("float32", "1"), theirs("bfloat16", "1")] : []),
];

/** Floating-point operations of a pass of the large DiT: products with its weights, and attention. */
const { batch, tokens, width, depth } = GPU_DIT;
const pass = batch * tokens * depth * (24 * width ** 2 + 4 * tokens * width);
const operations: Record<string, number> = { "gpu-dit": 3 * pass, "gpu-sample": pass };

const stops = new Set<() => void>();
for (const program of ["dit", "sample", "unet", "ode", "ode-staged"].map((name) => `${size}-${name}`)) {
  for (const { on, command, env } of sides) {
    if (program.includes("ode") && !on.startsWith("onestep")) continue; // our sampler as one graph, and a stage a call
    if (dry && !DRY[program]?.some((name) => on.endsWith(name))) continue;
    if (left() < 100 && !dry) {
      row(program, on, { note: "left out: no time" });
      continue;
    }
    const side = await startSide([...command, program], env, "", Math.min(90, left() - 60));
    if ("problem" in side) {
      row(program, on, { note: `does not run: ${side.problem.slice(0, 160)}` });
      continue;
    }
    stops.add(side.close);
    const busy = hasCard ? utilisation() : undefined;
    const times: number[] = [];
    const end = performance.now() + (dry ? 0 : 4000);
    do times.push(...((await side.ask(dry ? "2" : "5")) as number[]));
    while (performance.now() < end);
    const middle = median(times);
    const teraflops = operations[program] ? `${rounded(operations[program] / middle / 1e9, 3)} TFLOP/s` : "";
    row(program, on, { median: middle, fastest: Math.min(...times), rate: teraflops, note: (await busy?.()) ?? "" });
    side.close();
    stops.delete(side.close);
  }
}

// 4. The hottest kernels.
if (canRun) {
  const words = [...runner, file("hottest.ts"), dry ? "tiny-sample" : "gpu-dit", device, dry ? "1" : "5"];
  const { code, text } = await output(process.execPath, words, { seconds: Math.min(60, left()), env: environment });
  const lines = code === 0 ? text.split("\n").filter((line) => line.startsWith("{")) : [];
  for (const line of lines) {
    const { op, ms, share, calls, provider } = JSON.parse(line);
    row("hottest", provider, { median: ms, note: `${op}, ${calls} calls, ${rounded(100 * share, 3)} % of a step` });
  }
  if (lines.length === 0) row("hottest", device, { note: `does not run: ${lastLines(text)}` });
}

// 5. Simulation and training on one card.
if (canRun) {
  const shape = dry ? { WIDTH: "8", DEPTH: "1", BATCH: "2", DURATION: "0.2" } : { WIDTH: "384", DEPTH: "12", DURATION: "8" };
  const env = { ...environment, ...shape, ...(dry && { DEVICE: "cpu" }), ROUNDS: "1", CORES: "2" };
  const { text } = await output(process.execPath, [...runner, file("together.ts")], { seconds: Math.min(90, left()), env });
  row("together", env.DEVICE as string, { rate: /efficiency, median.*: (.*)$/m.exec(text)?.[1] ?? "", note: lastLines(text, 2) });
}

// 6. The demo, as a new user starts it.
if (canRun) {
  const words = ["bin/pipeline", "run", "--device", device, "--out", join(out, "run"), ...(dry ? ["--help"] : [])];
  const start = performance.now();
  const { code, text } = await output(process.execPath, words, { seconds: left(), env: environment });
  const seconds = (performance.now() - start) / 1000;
  row("npm start", device, {
    rate: `${rounded(seconds, 3)} s`,
    note: code === 0 ? "to its end" : `ended with ${code}: ${lastLines(text)}`,
  });
  rmSync(join(out, "run"), { recursive: true, force: true });
}
for (const stop of stops) stop();
const { rows } = JSON.parse(readFileSync(join(out, "gpu.json"), "utf8"));
console.log(`${rows.length} rows in ${join(out, "gpu.json")}, ${rounded((performance.now() - began) / 1000, 3)} s`);
process.exit();
