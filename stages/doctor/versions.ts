import { existsSync, readFileSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { builtCuda } from "../../engine/cuda.ts";

const { resolve } = createRequire(import.meta.url);

/** The folder of an installed package, or undefined where it is not installed. */
function packageFolder(name: string): string | undefined {
  let entry: string;
  try {
    entry = resolve(name);
  } catch {
    return undefined;
  }
  for (let folder = dirname(entry); folder !== dirname(folder); folder = dirname(folder)) {
    const manifest = join(folder, "package.json");
    if (existsSync(manifest) && JSON.parse(readFileSync(manifest, "utf8")).name === name) return folder;
  }
  return undefined;
}

/** The version of an installed package, or undefined where it is not installed. */
export function packageVersion(name: string): string | undefined {
  const folder = packageFolder(name);
  return folder && JSON.parse(readFileSync(join(folder, "package.json"), "utf8")).version;
}

/** True where ONNX Runtime's CUDA provider lies beside its library, or was linked beside it. */
export function hasCudaProvider(): boolean {
  if (builtCuda()) return true;
  const folder = packageFolder("onnxruntime-node");
  if (folder === undefined) return false;
  return readdirSync(join(folder, "bin"), { recursive: true }).some((name) => /providers_cuda\.(so|dll)$/.test(String(name)));
}
