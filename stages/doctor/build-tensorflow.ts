/**
 * Builds the native addon of tfjs-node 4.22 against a current TensorFlow: its two C++ files use TensorFlow's stable C API alone, and
 * compile unchanged against the libraries and headers inside TensorFlow's Python package.
 */
import { createHash } from "node:crypto";
import { existsSync, realpathSync } from "node:fs";
import { mkdir, readdir, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { BUILT } from "../../engine/builds.ts";
import { type BuiltTensorflow, installing, tensorflowFolder, tfjsNodeFolder } from "../../engine/tensorflow.ts";
import type { Context } from "../../schemas/events.ts";
import { Failure } from "../../schemas/failure.ts";
import { writeAtomic } from "../../store/places/atomic.ts";
import { CORE, purposeOf, tensorflowOf } from "./find-tensorflow.ts";
import { firstLine, run, whyNot } from "./run-program.ts";
import { nodeHeaders, tryTensorflow } from "./tensorflow.ts";

const FRAMEWORK = "libtensorflow_framework.so.2";

/**
 * Builds against the TensorFlow that `from` names (a Python, a wheel, or the folder of the package), tries what was built, and reports
 * for which device it computes. It then serves device "tensorflow". Throws a Failure where something is missing or does not fit.
 */
export async function buildTensorflow(from: string, { report, signal }: Context): Promise<void> {
  const action = `Cannot build TensorFlow's addon from "${from}"`;
  if (process.platform !== "linux" || process.arch !== "x64") {
    throw new Failure(
      `${action} on ${process.platform} ${process.arch}: it was made to work on Linux on x86-64 alone; use device "cpu" or "webgpu"`,
    );
  }
  const folder = tfjsNodeFolder();
  if (folder === undefined || !existsSync(join(folder, "binding"))) {
    throw new Failure(
      `${action}: the package with its sources is not installed beside this program; run ` +
        `${installing("@tensorflow/tfjs-node-gpu")} (or @tensorflow/tfjs-node)`,
    );
  }
  const builds = tensorflowFolder();
  if (builds === undefined) throw new Failure(`${action}: there is no folder to keep it in; name one in ONESTEP_TENSORFLOW`);
  const headers = headersFolder();
  if (headers === undefined) {
    throw new Failure(`${action}: Node's header node_api.h is not beside ${process.execPath}; run npm install node-api-headers`);
  }
  const compiler = process.env.CXX || "g++";
  const compilerVersion = await run(compiler, ["--version"], signal).catch((error) => {
    if (signal?.aborted) throw signal.reason;
    throw new Failure(`${action} with the C++ compiler "${compiler}": ${whyNot(error)}; install g++, or name a compiler in CXX`);
  });
  const tensorflow = await tensorflowOf(from, { builds, action, signal });
  const { size, mtimeMs } = await stat(join(tensorflow, CORE));
  const key = createHash("sha256").update([tensorflow, size, mtimeMs, folder, compilerVersion].join("\n")).digest("hex").slice(0, 12);
  const place = join(builds, `addon-${key}`);
  const addon = join(place, "tfjs_binding.node");
  await mkdir(place, { recursive: true });
  if (!existsSync(addon)) {
    report({ type: "note", stage: "build", message: `compiles ${join(folder, "binding")} against ${tensorflow}` });
    await compile({ compiler, folder, headers, tensorflow, addon, action, signal });
  }
  const answer = await tryTensorflow(addon, folder, signal);
  if ("problem" in answer) {
    await rm(place, { recursive: true });
    throw new Failure(`${action}: it compiles, but does not compute here: ${answer.problem}; try another version of TensorFlow`);
  }
  const { isForGpu, cuda, hasLibraries } = await purposeOf(tensorflow);
  const built: BuiltTensorflow = { addon, tensorflow, version: answer.version, isForGpu, package: folder };
  for (const each of [place, builds]) await writeAtomic(join(each, BUILT), `${JSON.stringify(built, null, 2)}\n`);
  const values = {
    tensorflow: answer.version,
    "linked to": tensorflow,
    addon,
    "built for": isForGpu ? `CUDA ${cuda ?? ""}`.trim() : "CPU",
    "computes on": answer.device,
  };
  report({ type: "result", stage: "build", values });
  if (isForGpu && answer.device === "CPU") {
    report({
      type: "warning",
      stage: "build",
      message: hasLibraries
        ? "NVIDIA's libraries are beside this TensorFlow, and it found no GPU that it can use: see nvidia-smi"
        : "this TensorFlow was built for CUDA, and NVIDIA's libraries are not beside it: python -m pip install 'tensorflow[and-cuda]'",
    });
  }
}

async function compile(options: {
  compiler: string;
  folder: string;
  headers: string;
  tensorflow: string;
  addon: string;
  action: string;
  signal?: AbortSignal;
}): Promise<void> {
  const { compiler, folder, headers, tensorflow, addon, action, signal } = options;
  const sources = (await readdir(join(folder, "binding")))
    .filter((name) => name.endsWith(".cc"))
    .map((name) => join(folder, "binding", name));
  const at = (place: string): string[] => [`-L${place}`, `-Wl,-rpath,${place}`]; // where they lie: TensorFlow seeks CUDA's beside itself
  const solver = join(dirname(tensorflow), "nvidia/cusolver/lib"); // the one library of CUDA that TensorFlow 2.21 does not find by itself
  const cuda = ["-Wl,--no-as-needed", "-Wl,--allow-shlib-undefined", ...at(solver), "-l:libcusolver.so.11"];
  // A worker that ends unloads its addons, and TensorFlow's exit handlers would then point nowhere: `nodelete` keeps them.
  const linked = ["-Wl,-z,nodelete", ...at(tensorflow), `-l:${CORE}`, `-l:${FRAMEWORK}`];
  const fresh = `${addon}.${process.pid}`;
  const words = ["-std=c++17", "-O2", "-fPIC", "-shared", "-DNAPI_VERSION=8", `-I${headers}`, `-I${join(tensorflow, "include")}`];
  const libraries = [...linked, ...(existsSync(join(solver, "libcusolver.so.11")) ? cuda : [])];
  try {
    await run(compiler, [...words, ...sources, ...libraries, "-o", fresh], signal);
    await rename(fresh, addon);
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    const why = /^.*\berror: (.*)$/m.exec((error as Error).message)?.[1] ?? firstLine((error as Error).message);
    throw new Failure(`${action} with ${compiler}: ${why}; a C++17 compiler and a TensorFlow from 2.15 to 2.21 are known to work`, {
      cause: error,
    });
  } finally {
    await rm(fresh, { force: true });
  }
}

/** Node's headers: beside its own program as its installers lay them, or those of a package. */
function headersFolder(): string | undefined {
  const beside = join(dirname(dirname(realpathSync(process.execPath))), "include/node");
  if (existsSync(join(beside, "node_api.h"))) return beside;
  const header = nodeHeaders();
  return header && dirname(header);
}
