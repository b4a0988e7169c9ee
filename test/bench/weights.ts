/**
 * Prints how long and how much memory it takes from nothing to the result of one forward pass of a U-Net whose weights lie in
 * a float16 safetensors file. ONLY (0.9,2.6: billions of parameters) and FOLDER (the system's for temporary files) come from
 * the environment; `--out FILE.json`.
 *
 * Each file (1.8 and 5.2 GB) is made on the spot, tensor by tensor of random values, and removed at the end. A process of
 * its own then opens it, compiles and runs: once with the file out of the page cache (where `dd` can do that), once with it
 * there, and once on an engine that is told that 4 GB of memory are available. Seconds count from that process's start;
 * memory is its peak (VmHWM of Linux), the file's pages included.
 */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { createEngine } from "../../engine/engine.ts";
import { countWeights, elements } from "../../engine/weights.ts";
import { unet } from "../../models/families/unet.ts";
import type { UnetConfig } from "../../models/families/unet-layout.ts";
import { openSafetensors } from "../../models/weights/open.ts";
import { safetensorsPieces, type TensorSource } from "../../models/weights/pieces.ts";
import { writeAtomic } from "../../store/places/atomic.ts";
import { type BenchRow, openBench, rounded } from "./record.ts";

/** Widths of the U-Net, by billions of parameters. */
const WIDTHS = { "0.9": 352, "2.6": 600 } as const;
const configOf = (width: number): UnetConfig => ({
  shape: [64, 64, 4],
  width,
  multipliers: [1, 2, 4, 4],
  depth: 2,
  attentionLevels: [1, 2, 3],
  heads: 8,
  conditional: false,
});

/** The shapes of a U-Net's weights without the weights: every side is a constant or grows in proportion to the width. */
function shapesOf(width: number): Record<string, number[]> {
  const [small, large] = [unet.init(configOf(16), 0), unet.init(configOf(32), 0)];
  const shapes = Object.entries(small).map(([name, { shape }]) => {
    const twice = large[name]?.shape as number[];
    return [name, shape.map((side, i) => side + (((twice[i] as number) - side) / 16) * (width - 16))];
  });
  return Object.fromEntries(shapes);
}

/** Random halves of about the size that keeps a layer's output as large as its input; scales are between 1 and 2. */
function randomTensor(name: string, shape: number[], seed: number): TensorSource {
  const fanIn = elements(shape) / (shape.at(-1) as number);
  const exponent = name.endsWith("scale") ? 15 : 15 - Math.round(Math.log2(Math.sqrt(fanIn) + 100 * Number(shape.length === 1)));
  const kept = name.endsWith("scale") ? 0x03ff : 0x83ff; // fraction, and sign
  function* pieces(): Generator<Uint8Array> {
    let state = seed;
    for (let left = elements(shape); left > 0; left -= 2 ** 20) {
      const halves = new Uint16Array(Math.min(left, 2 ** 20));
      for (let i = 0; i < halves.length; i++) {
        state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
        halves[i] = ((state >>> 16) & kept) | (exponent << 10);
      }
      yield new Uint8Array(halves.buffer);
    }
  }
  return { shape, dtype: "F16", pieces };
}

interface Measured {
  parameters: number;
  compileSeconds: number;
  seconds: number;
  cpuSeconds: number;
  secondRunSeconds: number;
  peakBytes: number;
}

/** What the measuring process does: prints a line of JSON, or what was refused. */
async function measure(path: string, width: number, memoryBytes?: number): Promise<Measured | { refused: string }> {
  const seconds = (): number => performance.now() / 1000; // since this process began
  const config = configOf(width);
  const [side, , channels] = config.shape;
  const { tensors } = await openSafetensors(path);
  const engine = await createEngine({ device: "cpu", cache: false, memoryBytes });
  const compiling = engine.compile({
    name: "unet",
    sets: { network: engine.constants("network", tensors) },
    inputs: { x: { shape: [1, side, side, channels] }, noise: { shape: [1] } },
    run: ({ network }, { x, noise }) => ({ outputs: { y: unet.apply(config, network, { x: x!, noiseLevel: noise! }) } }),
  });
  const program = await compiling.catch((error: Error) => error);
  if (program instanceof Error) return { refused: program.message };
  const compileSeconds = seconds();
  const inputs = { x: Float32Array.from({ length: side * side * channels }, (_, i) => Math.sin(i)), noise: Float32Array.of(0.1) };
  const { y } = await program.run(inputs);
  const { user, system } = process.cpuUsage();
  const first = { compileSeconds, seconds: seconds(), cpuSeconds: (user + system) / 1e6 };
  if (!y?.every(Number.isFinite)) throw new Error("The U-Net's output is not finite");
  await program.run(inputs);
  const secondRunSeconds = seconds() - first.seconds;
  await engine.dispose();
  const peakBytes = 1024 * Number(/VmHWM:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1]);
  return { parameters: countWeights(tensors), ...first, secondRunSeconds, peakBytes };
}

/** A row of figures, from a process of its own. */
async function measured(path: string, width: number, memoryBytes?: number): Promise<BenchRow> {
  const given = ["measure", path, String(width), ...(memoryBytes === undefined ? [] : [String(memoryBytes)])];
  const { stdout } = await promisify(execFile)(process.execPath, [...process.execArgv, fileURLToPath(import.meta.url), ...given]);
  const answer = JSON.parse(stdout) as Measured | { refused: string };
  const figures = ["compiled, s", "result, s", "processor until then, s", "second run, s", "peak, GB", "float32, GB", "peak / float32"];
  if ("refused" in answer) return { ...Object.fromEntries(figures.map((name) => [name, "-"])), outcome: answer.refused };
  const { parameters, compileSeconds, seconds, cpuSeconds, secondRunSeconds, peakBytes } = answer;
  const wide = 4 * parameters;
  const values = [compileSeconds, seconds, cpuSeconds, secondRunSeconds, peakBytes / 1e9, wide / 1e9, peakBytes / wide];
  return { ...Object.fromEntries(figures.map((name, i) => [name, rounded(values[i] as number, 3)])), outcome: "ran" };
}

async function bench(only: string, folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const billions of only.split(",") as (keyof typeof WIDTHS)[]) {
    const width = WIDTHS[billions];
    const path = join(folder, `onestep-unet-${billions}.safetensors`);
    const report = async (memory: string, bytes?: number): Promise<void> => {
      const row = { "parameters, billions": Number(billions), memory, ...(await measured(path, width, bytes)) };
      console.log(JSON.stringify(row));
      record(row);
    };
    try {
      const sources = Object.entries(shapesOf(width)).map(([name, shape], i) => [name, randomTensor(name, shape, i)]);
      await writeAtomic(path, safetensorsPieces({ tensors: Object.fromEntries(sources) }));
      const isCold = await promisify(execFile)("dd", [`if=${path}`, "iflag=nocache", "count=0"]).then(
        () => true,
        () => false,
      );
      if (isCold) await report("file not in the page cache");
      await report("file in the page cache");
      await report("told that 4 GB are available", 4e9);
    } finally {
      await rm(path, { force: true });
    }
  }
}

const { settings, words, record } = openBench({ ONLY: "0.9,2.6", FOLDER: tmpdir() });
const [what, path, width, bytes] = words;
if (what === "measure")
  console.log(JSON.stringify(await measure(path as string, Number(width), bytes === undefined ? undefined : Number(bytes))));
else await bench(settings.ONLY, settings.FOLDER);
