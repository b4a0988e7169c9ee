/**
 * test/bench/gpu.sh, dry: every piece of what is prepared for a GPU runs on a processor that pretends to be one, and PyTorch's on the
 * processor itself where there is a Python that has it.
 */
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { python, pythonHas } from "../export/python.ts";
import { assert, suite } from "../harness.ts";
import { findDriver, NO_DRIVER } from "./software-gpu.ts";

const test = suite("gpu script");
const script = new URL("../bench/gpu.sh", import.meta.url).pathname;
const run = promisify(execFile);

const torch = pythonHas("torch");

const everyPieceRuns = async (): Promise<void> => {
  const out = await mkdtemp(join(tmpdir(), "onestep-gpu-"));
  try {
    const loader = process.env.ONESTEP_BUILT ? { LOADER: new URL("../translation.mjs", import.meta.url).href } : {}; // as test/run.mjs
    const env = { ...process.env, ...loader, PYTHON: torch ? python : join(out, "no-python") };
    const { stdout } = await run("bash", [script, "--dry", "--out", out], { env });
    const { rows } = JSON.parse(await readFile(join(out, "gpu.json"), "utf8")) as { rows: Record<string, string | number>[] };
    const pieces = new Set(rows.map(({ piece }) => piece));
    if (rows.some(({ piece }) => piece === "all that follows")) return; // a driver, and no adapter comes of it: webgpu.test.ts says so
    for (const piece of ["devices", "parity", "tiny-dit", "tiny-sample", "tiny-ode", "hottest", "together", "npm start"])
      assert.ok(pieces.has(piece), piece);
    const theirs = rows.filter(({ on }) => String(on).startsWith("PyTorch"));
    if (torch)
      assert.equal(
        theirs
          .slice(1)
          .map(({ on }) => on)
          .sort(),
        ["PyTorch bfloat16", "PyTorch float32", "PyTorch tf32"],
      );
    else assert.match(String(theirs[0]?.note), /^left out: .*no-python has no PyTorch/);
    assert.is(rows.find(({ piece }) => piece === "parity")?.rate, "2 / 2");
    assert.equal(
      rows.filter(({ note }) => /does not run|ended with/.test(String(note))),
      [],
    );
    assert.match(stdout, /^piece +on +median ms/);
  } finally {
    await rm(out, { recursive: true });
  }
};
const name = "a dry run measures every piece, PyTorch's too where ONESTEP_PYTHON has it, and leaves them out with a message elsewhere";
if (findDriver()) test(name, everyPieceRuns, { seconds: 240 });
else test.skip(name, NO_DRIVER);

test("a folder without what --pack makes is named", async () => {
  const error = (await run("bash", [script, "--from", "/nowhere"]).catch((problem: unknown) => problem)) as {
    code: number;
    stderr: string;
  };
  assert.is(error.code, 2);
  assert.match(error.stderr, /^Cannot unpack \/nowhere\/onestep-gpu\.tar\.xz: it is not there; make it by .*--pack/);
});

test.run();
