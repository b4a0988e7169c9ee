/** Files of other packages that a site holds: ONNX Runtime for browsers (onnxruntime-web), and what reads published tokenizers. */
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { Failure } from "../../../schemas/failure.ts";
import { packageText } from "../../../schemas/package.ts";
import type { Device } from "./messages.ts";

/** Of each device the script a page imports, the script that starts its program, and the program. */
const files: Record<Device, { script: string; loader: string; program: string }> = {
  wasm: {
    script: "ort.wasm.min.mjs",
    loader: "ort-wasm-simd-threaded.mjs",
    program: "ort-wasm-simd-threaded.wasm",
  },
  webgpu: {
    script: "ort.webgpu.min.mjs",
    loader: "ort-wasm-simd-threaded.asyncify.mjs",
    program: "ort-wasm-simd-threaded.asyncify.wasm",
  },
};

export interface RuntimeFile {
  name: string;
  content: Uint8Array;
}

/** Reads a device's files. Throws a Failure that says what to install where the package is absent. */
export async function runtimeFiles(device: Device): Promise<Record<"script" | "loader" | "program", RuntimeFile>> {
  const folder = packageFolder();
  const read = async (name: string): Promise<RuntimeFile> => ({
    name,
    content: await readFile(join(folder, name)).catch(() => absent(name)),
  });
  const { script, loader, program } = files[device];
  return { script: await read(script), loader: await read(loader), program: await read(program) };
}

/** The script that reads published tokenizers in a page, as it lies in the npm package @huggingface/tokenizers. */
export function publishedTokenizers(): Promise<Uint8Array> {
  const folder = dirname(createRequire(import.meta.url).resolve("@huggingface/tokenizers"));
  return readFile(join(folder, "tokenizers.min.mjs"));
}

function packageFolder(): string {
  try {
    return dirname(createRequire(import.meta.url).resolve("onnxruntime-web"));
  } catch {
    return absent("the package");
  }
}

function absent(what: string): never {
  const { peerDependencies } = JSON.parse(packageText("package.json")) as { peerDependencies: Record<string, string> };
  const install = `npm install onnxruntime-web@${peerDependencies["onnxruntime-web"]}`;
  throw new Failure(`Cannot export a web page: ${what} of ONNX Runtime for browsers is not here. Install it: ${install}`);
}
