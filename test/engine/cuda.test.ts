/** Device "cuda" as the user links it: what is said where it cannot be, and that a folder of another version counts as none. */
import { execFile } from "node:child_process";
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { builtCuda, cudaFolder } from "../../engine/cuda.ts";
import { assert, suite } from "../harness.ts";

const test = suite("cuda");
const pipeline = new URL("../../bin/pipeline", import.meta.url).pathname;
const { version } = createRequire(import.meta.url)("onnxruntime-node/package.json") as { version: string };
let folder = "";
test.before.each(async () => {
  folder = await mkdtemp(join(tmpdir(), "onestep-cuda-"));
});
test.after.each(() => rm(folder, { recursive: true }));

test("a build is read from ONESTEP_CUDA; one for another ONNX Runtime, or whose addon is gone, counts as none", async () => {
  assert.is(cudaFolder({ ONESTEP_CUDA: folder }), folder);
  assert.is(cudaFolder({ ONESTEP_CACHE: "off" }), undefined);
  assert.is(builtCuda(folder), undefined);
  const built = { addon: join(folder, "onnxruntime_binding.node"), version, libraries: [] };
  const write = (changes: object) => writeFile(join(folder, "built.json"), JSON.stringify({ ...built, ...changes }));
  await write({});
  assert.is(builtCuda(folder), undefined);
  await writeFile(built.addon, "");
  assert.equal(builtCuda(folder), built);
  await write({ version: "1.0.0" });
  assert.is(builtCuda(folder), undefined);
});

/** A program that answers as a Python would whose onnxruntime-gpu has this version and lies in `place`. */
async function pretended(answer: string, place = ""): Promise<string> {
  const python = join(folder, "python");
  await writeFile(python, `#!/bin/sh\necho "${answer}"\necho "${place}"\necho "${folder}"\n`);
  await chmod(python, 0o755);
  return python;
}
async function link(python: string): Promise<{ code: number; stdout: string; stderr: string }> {
  const env = { ...process.env, ONESTEP_CUDA: join(folder, "built") };
  const run = promisify(execFile)(process.execPath, [pipeline, "doctor", "--build-cuda", python], { env });
  return run.then(
    (said) => ({ code: 0, ...said }),
    (error) => error as { code: number; stdout: string; stderr: string },
  );
}

if (process.platform === "linux" && process.arch === "x64") {
  test("no Python, no package and another version are refused with what to do", async () => {
    const refused = async (python: string, code: number, message: RegExp): Promise<void> => {
      const said = await link(python);
      assert.is(said.code, code, said.stderr);
      assert.match(said.stderr, message);
    };
    await refused(join(folder, "none"), 2, /it does not run as Python \(there is no such program\); name a Python/);
    await refused(
      await pretended(""),
      1,
      new RegExp(`this Python has no onnxruntime-gpu; run .*'onnxruntime-gpu\\[cuda,cudnn\\]==${version}'`),
    );
    await refused(
      await pretended("1.22.0", folder),
      1,
      new RegExp(`its onnxruntime-gpu 1\\.22\\.0 does not fit onnxruntime-node ${version}`),
    );
    await refused(await pretended(version, folder), 1, /has no libonnxruntime_providers_cuda\.so/);
  });

  test("a provider that does not load is linked, and why is said; node_modules stay as they are", async () => {
    const capi = join(folder, "onnxruntime/capi");
    await mkdir(capi, { recursive: true });
    for (const name of ["cuda", "shared"]) await writeFile(join(capi, `libonnxruntime_providers_${name}.so`), "libcudart.so.13\0");
    const { code, stdout, stderr } = await link(await pretended(version, join(folder, "onnxruntime")));
    assert.is(code, 0, stderr);
    assert.match(stdout, /NVIDIA's libraries +none beside this Python/);
    assert.match(stdout, /session +.*(too short|invalid ELF)/);
    assert.match(stderr, /asks for libcudart, .*which this Python has not/);
    const { addon } = JSON.parse(await readFile(join(folder, "built/built.json"), "utf8")) as { addon: string };
    assert.match(addon, new RegExp(`^${folder}/built/provider-`));
  });
} else test.skip("linking", "PyPI has the provider for Linux on x86-64 alone");

test.run();
