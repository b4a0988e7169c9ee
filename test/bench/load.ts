/**
 * Prints how long weights take from a safetensors file into memory, beside reading the same bytes and making nothing of them. SIZE
 * (1e9: bytes of a file), ONLY (F16,F32: types of its elements) and FOLDER (the system's for temporary files) come from the environment;
 * `--out FILE.json`.
 *
 * Each file is made on the spot, of random values in the shapes of Stable Diffusion's U-Net, and removed at the end. Each figure is of a
 * process of its own, with the file in the page cache, and where `dd` can take it out of there, without. Memory is the process's peak
 * (VmHWM of Linux) less what was resident before.
 */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { countWeights, startHash, type Weights } from "../../engine/weights.ts";
import { readPublished } from "../../models/published/folder.ts";
import { safetensorsPieces, type TensorSource } from "../../models/weights/pieces.ts";
import { readSafetensors } from "../../models/weights/safetensors.ts";
import { writeAtomic } from "../../store/places/atomic.ts";
import { openBench, rounded } from "./record.ts";

const run = promisify(execFile);
const status = (key: string): number => 1024 * Number(new RegExp(`${key}:\\s+(\\d+)`).exec(readFileSync("/proc/self/status", "utf8"))?.[1]);

/** Shapes [out, in] and [out, in, height, width], over and over until the file is full. */
const SHAPES = [[640, 640, 3, 3], [5120, 640], [640, 2560], [1280, 640, 3, 3], [1280, 1280], [320], [10240, 1280], [1280, 768]];

function tensorsOf(size: number, dtype: "F16" | "F32"): Record<string, TensorSource> {
  const bytes = dtype === "F16" ? 2 : 4;
  const block = new Uint16Array(2 ** 20);
  for (let i = 0, state = 1; i < block.length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    block[i] = (state >>> 16) & 0xbbff; // neither infinite nor no number, as a half and as the upper half of a float32
  }
  const tensors: Record<string, TensorSource> = {};
  for (let made = 0, i = 0; made < size; i++) {
    const shape = SHAPES[i % SHAPES.length] as number[];
    const length = shape.reduce((a, b) => a * b, bytes);
    function* pieces(): Generator<Uint8Array> {
      for (let left = length; left > 0; left -= block.byteLength) yield new Uint8Array(block.buffer, 0, Math.min(left, block.byteLength));
    }
    tensors[`blocks.${i}.weight`] = { shape, dtype, pieces };
    made += length;
  }
  return tensors;
}

const without = (weights: Weights): number => 4 * countWeights(weights);

/** What is measured, by name: each answers the bytes of the weights as float32. */
const ways: Record<string, (path: string) => Promise<number>> = {
  "the bytes alone": async (path) => {
    const handle = await open(path);
    const piece = Buffer.alloc(2 ** 23);
    while ((await handle.read(piece, 0, piece.length)).bytesRead > 0);
    await handle.close();
    return 0;
  },
  readPublished: async (path) => without(await readPublished(path, {})),
  readSafetensors: async (path) => without((await readSafetensors(path)).tensors),
  "readSafetensors with hash": async (path) => without((await readSafetensors(path, { hash: true })).tensors),
  "readPublished with its hash": async (path) => {
    const hash = startHash();
    const weights = await readPublished(path, {}, hash);
    hash.digest();
    return without(weights);
  },
};

interface Measured {
  seconds: number;
  cpuSeconds: number;
  /** Of the peak, by the weights as float32. */
  memory: number;
}

async function measure(way: string, path: string): Promise<Measured> {
  const before = status("VmRSS");
  const [start, used] = [performance.now(), process.cpuUsage()];
  const wide = await (ways[way] as (path: string) => Promise<number>)(path);
  const { user, system } = process.cpuUsage(used);
  return { seconds: (performance.now() - start) / 1000, cpuSeconds: (user + system) / 1e6, memory: (status("VmHWM") - before) / wide };
}

const { settings, words, record } = openBench({ SIZE: "1e9", ONLY: "F16,F32", FOLDER: tmpdir() });
const [what, way, given] = words;
if (what === "measure") console.log(JSON.stringify(await measure(way as string, given as string)));
else {
  for (const dtype of settings.ONLY.split(",") as ("F16" | "F32")[]) {
    const path = join(settings.FOLDER, `onestep-load-${process.pid}.safetensors`);
    try {
      await writeAtomic(path, safetensorsPieces({ tensors: tensorsOf(Number(settings.SIZE), dtype) }));
      const forget = async (): Promise<boolean> =>
        run("dd", [`if=${path}`, "iflag=nocache", "count=0"]).then(
          () => true,
          () => false,
        );
      for (const isCached of (await forget()) ? [false, true] : [true]) {
        let alone: Measured | undefined;
        for (const name of Object.keys(ways)) {
          if (!isCached) await forget();
          const { stdout } = await run(process.execPath, [...process.execArgv, fileURLToPath(import.meta.url), "measure", name, path]);
          const found = JSON.parse(stdout) as Measured;
          alone ??= found;
          const row = {
            ...{ elements: dtype, file: isCached ? "in the page cache" : "on the disk", what: name },
            ...{ s: rounded(found.seconds, 3), "processor, s": rounded(found.cpuSeconds, 3) },
            ...{ "time / of the bytes alone": rounded(found.seconds / alone.seconds, 3), "peak / float32": rounded(found.memory ?? 0, 3) },
          };
          console.log(JSON.stringify(row));
          record(row);
        }
      }
    } finally {
      await rm(path, { force: true });
    }
  }
}
