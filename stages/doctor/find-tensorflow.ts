/** The TensorFlow to build against: of a Python, out of a wheel, or the folder of the package. */
import { createHash } from "node:crypto";
import { existsSync, realpathSync } from "node:fs";
import { mkdir, readFile, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import StreamZip from "node-stream-zip";
import { badUsage, Failure } from "../../schemas/failure.ts";
import { askPython, pythonOf } from "./run-program.ts";

/** TensorFlow's library, in the folder of its package. */
export const CORE = "libtensorflow_cc.so.2";
/** Says of the package, in its folder, what it was built for. */
const ABOUT = "python/platform/build_info.py";
/** What of a wheel is needed: of Python nothing but what says for which devices it was built. */
const LIBRARIES =
  /^tensorflow\/(libtensorflow_(cc|framework)\.so\.2|include\/(tensorflow\/(c|core\/platform|tsl)|tsl\/platform|xla\/tsl\/c)\/.*)$/;
const isWanted = (name: string): boolean => LIBRARIES.test(name) || name === `tensorflow/${ABOUT}`;

/**
 * The folder of the TensorFlow that `from` names; a wheel is unpacked below `builds`. Throws a Failure that begins with `action`
 * where there is none.
 */
export async function tensorflowOf(from: string, where: { builds: string; action: string; signal?: AbortSignal }): Promise<string> {
  const { builds, action, signal } = where;
  if (from.endsWith(".whl")) return unpacked(from, where);
  const isFolder = await stat(from).then(
    (found) => found.isDirectory(),
    () => false,
  );
  if (isFolder && existsSync(join(from, CORE))) return realpathSync(from);
  const python = pythonOf(from);
  if (isFolder && python === from)
    throw badUsage(`${action}: the folder holds neither ${CORE} nor bin/python; name a Python, a wheel or a package's folder`);
  const find = 'import importlib.util as u; s = u.find_spec("tensorflow"); print(s.submodule_search_locations[0] if s else "")';
  const remedy = "name a Python, a wheel or the folder of the package tensorflow";
  const found = await askPython(python, find, { action, remedy, signal });
  if (found.trim() === "") {
    throw new Failure(
      `${action}: this Python has no TensorFlow; run ${python} -m pip install 'tensorflow[and-cuda]==2.21.0' (tensorflow-cpu: no GPU)`,
    );
  }
  const folder = realpathSync(found.trim());
  if (existsSync(join(folder, CORE))) return folder;
  throw new Failure(
    `${action}: ${folder} has no ${CORE}, as versions 2.15 to 2.21 for Linux have; install one of these (builds in ${builds} stay)`,
  );
}

/** What a TensorFlow was made for: a CUDA build finds a GPU only by NVIDIA's libraries, which lie beside its folder or are the system's. */
export interface Purpose {
  isForGpu: boolean;
  /** Of the CUDA it was compiled for, as in "12.5.1"; undefined where that is not said. */
  cuda?: string;
  hasLibraries: boolean;
}

/** What the TensorFlow in `folder` was built for, by what its package says of itself. */
export async function purposeOf(folder: string): Promise<Purpose> {
  const hasLibraries = existsSync(join(dirname(folder), "nvidia/cuda_runtime")); // of CUDA 12, as tensorflow[and-cuda] lays it
  const about = await readFile(join(folder, ABOUT), "utf8").catch(() => undefined);
  const cuda = /'cuda_version', '([\d.]+)'/.exec(about ?? "")?.[1];
  const isForGpu = about === undefined ? hasLibraries : /'is_cuda_build', True/.test(about);
  return { isForGpu, hasLibraries, ...(cuda !== undefined && { cuda }) };
}

/** Unpacks the libraries and headers of a wheel beside the builds. */
async function unpacked(wheel: string, { builds, action }: { builds: string; action: string }): Promise<string> {
  const about = await stat(wheel).catch((error: Error) => {
    throw badUsage(`${action}: the wheel cannot be read (${error.message})`);
  });
  const key = createHash("sha256")
    .update(`${realpathSync(wheel)}\n${about.size}\n${about.mtimeMs}`)
    .digest("hex")
    .slice(0, 12);
  const target = join(builds, `wheel-${key}`);
  if (existsSync(join(target, "tensorflow", CORE))) return join(target, "tensorflow");
  const fresh = `${target}.${process.pid}`;
  const zip = new StreamZip.async({ file: wheel });
  try {
    const names = Object.values(await zip.entries()).filter(
      ({ name, isDirectory }) => !isDirectory && isWanted(name) && !name.includes(".."),
    );
    if (!names.some(({ name }) => name.endsWith(CORE))) throw new Error(`it holds no ${CORE}`);
    for (const { name } of names) {
      await mkdir(dirname(join(fresh, name)), { recursive: true });
      await zip.extract(name, join(fresh, name));
    }
    await rm(target, { recursive: true, force: true });
    await rename(fresh, target);
  } catch (error) {
    throw new Failure(`${action}: the wheel cannot be unpacked (${(error as Error).message}); give one of tensorflow or tensorflow-cpu`, {
      cause: error,
    });
  } finally {
    await zip.close().catch(() => {});
    await rm(fresh, { recursive: true, force: true });
  }
  return join(target, "tensorflow");
}
