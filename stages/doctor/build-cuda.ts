/**
 * ONNX Runtime's CUDA provider without NuGet: PyPI's onnxruntime-gpu of onnxruntime-node's version holds it, and the same Python mostly
 * has NVIDIA's libraries (PyTorch brings them). Both are linked beside onnxruntime-node's files in a cache folder; nothing is copied but
 * its addon, and node_modules stays as it is.
 */
import { createHash } from "node:crypto";
import { createReadStream, existsSync, realpathSync } from "node:fs";
import { copyFile, mkdir, readdir, rm, symlink } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
import { BUILT } from "../../engine/builds.ts";
import { type BuiltCuda, cudaFolder } from "../../engine/cuda.ts";
import type { Context } from "../../schemas/events.ts";
import { Failure } from "../../schemas/failure.ts";
import { writeAtomic } from "../../store/places/atomic.ts";
import { probe } from "./probe.ts";
import { askPython, pythonOf } from "./run-program.ts";

const PROVIDER = "libonnxruntime_providers_cuda.so";
const SHARED = "libonnxruntime_providers_shared.so";

/** Prints the version of onnxruntime-gpu, its folder, and every folder of packages, a line each. */
const FIND = `
import importlib.metadata as m, importlib.util as u, sys
try: print(m.version("onnxruntime-gpu"))
except m.PackageNotFoundError: print("")
s = u.find_spec("onnxruntime"); print(s.submodule_search_locations[0] if s else "")
print("\\n".join(p for p in sys.path if p))
`;

/**
 * Links the provider of the Python `from`, tries a session on it and reports what came of that. Throws a Failure where a package is
 * missing or its version does not fit.
 */
export async function buildCuda(from: string, { report, signal }: Context): Promise<void> {
  const action = `Cannot link ONNX Runtime's CUDA provider of "${from}"`;
  if (process.platform !== "linux" || process.arch !== "x64") {
    throw new Failure(
      `${action} on ${process.platform} ${process.arch}: PyPI has it for Linux on x86-64 alone; use device "cpu" or "webgpu"`,
    );
  }
  const folder = cudaFolder();
  if (folder === undefined) throw new Failure(`${action}: there is no folder to keep it in; name one in ONESTEP_CUDA`);
  const python = pythonOf(from);
  const said = await askPython(python, FIND, { action, remedy: "name a Python, or the folder of a virtual environment", signal });
  const [found = "", theirs = "", ...paths] = said.trimEnd().split("\n");
  const require = createRequire(import.meta.url);
  const { version } = require("onnxruntime-node/package.json") as { version: string };
  const wanted = `run ${python} -m pip install 'onnxruntime-gpu[cuda,cudnn]==${version}'`;
  if (found === "") throw new Failure(`${action}: this Python has no onnxruntime-gpu; ${wanted}`);
  if (found !== version) throw new Failure(`${action}: its onnxruntime-gpu ${found} does not fit onnxruntime-node ${version}; ${wanted}`);
  const provider = join(theirs, "capi", PROVIDER);
  if (!existsSync(provider)) throw new Failure(`${action}: ${dirname(provider)} has no ${PROVIDER}; ${wanted}`);

  const libraries = await located(provider, paths);
  const missing = KINDS.filter((kind) => !libraries.some((path) => kindOf(basename(path)) === kind));

  const own = join(dirname(require.resolve("onnxruntime-node")), "../bin/napi-v6/linux/x64");
  const key = createHash("sha256")
    .update([version, realpathSync(own), realpathSync(provider)].join("\n"))
    .digest("hex")
    .slice(0, 12);
  const place = join(folder, `provider-${key}`);
  await rm(place, { recursive: true, force: true });
  await mkdir(place, { recursive: true });
  const addon = join(place, "onnxruntime_binding.node");
  await copyFile(join(own, "onnxruntime_binding.node"), addon); // copied: Node follows a link before it looks for what lies beside
  await symlink(join(own, "libonnxruntime.so.1"), join(place, "libonnxruntime.so.1"));
  for (const name of [PROVIDER, SHARED]) await symlink(join(theirs, "capi", name), join(place, name));
  const built: BuiltCuda = { addon, version, libraries };
  await writeAtomic(join(folder, BUILT), `${JSON.stringify(built, null, 2)}\n`);
  const answer = await probe("cuda", { signal, seconds: 60 });
  report({
    type: "result",
    stage: "build",
    values: {
      "onnx runtime": version,
      provider: provider,
      "linked in": place,
      "NVIDIA's libraries": libraries.length > 0 ? libraries.map((path) => basename(path)).join(", ") : "none beside this Python",
      session: answer,
    },
  });
  if (missing.length > 0 && answer !== "ready") {
    const message = `the provider asks for ${missing.join(", ")}, which this Python has not: ${wanted}, unless the system has them`;
    report({ type: "warning", stage: "build", message });
  }
}

/** A library's name without its version. */
const kindOf = (name: string): string => name.split(".")[0] as string;

/** NVIDIA's libraries that the provider opens, those that others need first. */
const KINDS = ["libcudart", "libnvrtc", "libcublasLt", "libcublas", "libcurand", "libcufft", "libcudnn"];

/** The names with versions that the provider's file says; those of cuFFT and cuDNN it puts together while it runs. */
async function namedIn(provider: string): Promise<Set<string>> {
  const names = new Set<string>();
  let tail = "";
  for await (const part of createReadStream(provider, { encoding: "latin1", highWaterMark: 2 ** 22 })) {
    const text = tail + (part as string);
    for (const [name] of text.matchAll(/lib(cudart|cublasLt|cublas|cufft|curand|cudnn|nvrtc)\.so\.\d+(?=\0)/g)) names.add(name);
    tail = text.slice(-64);
  }
  return names;
}

/** Of each kind the library that NVIDIA's packages below the folders `paths` have: one that the provider names, else the newest. */
async function located(provider: string, paths: readonly string[]): Promise<string[]> {
  const named = await namedIn(provider);
  const present: string[] = [];
  for (const path of paths) {
    const root = join(path, "nvidia");
    const files = await readdir(root, { recursive: true }).catch(() => [] as string[]);
    present.push(...files.filter((file) => /\.so\.\d+$/.test(file)).map((file) => join(root, file)));
  }
  return KINDS.flatMap((kind) => {
    const wanted = [...named].filter((name) => kindOf(name) === kind);
    const fitting = present.filter((path) => (wanted.length > 0 ? wanted.includes(basename(path)) : kindOf(basename(path)) === kind));
    const version = (path: string): number => Number(path.split(".").at(-1));
    return fitting.sort((a, b) => version(b) - version(a)).slice(0, 1);
  });
}
