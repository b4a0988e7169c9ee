/** On WebGPU no node of any method's programs, and of any family's, is left to the CPU: ONNX Runtime says which device it gave each to. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { methodNames } from "../../methods/registry.ts";
import { findDriver, NO_ADAPTER, NO_DRIVER, withDriver } from "../engine/software-gpu.ts";
import { scriptWords } from "../fixtures/script.ts";
import { assert, suite } from "../harness.ts";
import { pipelines } from "../published/golden.ts";

const test = suite("placement");
const driver = findDriver();
const script = fileURLToPath(new URL("./placement-checks.ts", import.meta.url));
const title = "methods compile for WebGPU with no node on the CPU, and so do published networks; ONESTEP_PLACEMENT=all tries every one";

const everyNode = async (): Promise<void> => {
  const env = { ...withDriver(driver as string), ONESTEP_STRICT: "1" };
  const words = [...scriptWords(script), ...(existsSync(pipelines) ? [pipelines] : [])];
  const { stdout } = await promisify(execFile)(process.execPath, words, { env, maxBuffer: 2 ** 24 });
  const lines = stdout.split("\n").filter((line) => line.startsWith("{"));
  const found = lines.map((line) => JSON.parse(line) as { name: string; error?: string });
  if (found.every(({ error }) => /adapter/i.test(error ?? ""))) return console.log(NO_ADAPTER);
  assert.equal(
    found.filter(({ error }) => error !== undefined),
    [],
  );
  const tried = process.env.ONESTEP_PLACEMENT === "all" ? methodNames() : ["tlcm", "layton", "yoso"];
  const missing = tried.filter((method) => !found.some(({ name }) => name.startsWith(`${method} `)));
  assert.equal(missing, []);
};
if (driver !== undefined) test(title, everyNode, { seconds: 600 });
else test.skip(title, NO_DRIVER);

test.run();
