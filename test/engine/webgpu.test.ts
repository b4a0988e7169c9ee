/** Device "webgpu" on a driver without a GPU, in a process of its own: a driver's fault ends the process it is in. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { scriptWords } from "../fixtures/script.ts";
import { assert, suite } from "../harness.ts";
import { findDriver, NO_ADAPTER, NO_DRIVER, withDriver } from "./software-gpu.ts";
import { checks, PROBE } from "./webgpu-checks.ts";

const test = suite("webgpu");
const driver = findDriver();
const script = fileURLToPath(new URL("./webgpu-checks.ts", import.meta.url));

/** Why there is nothing to check with, if so: no driver, or no adapter through it. */
const reason = driver === undefined ? NO_DRIVER : await withoutAdapter(driver);
/** What each check answered, of one process for all; those after one that ended the process are missing. */
const answers = driver === undefined || reason !== undefined ? undefined : run(driver);

async function withoutAdapter(icd: string): Promise<string | undefined> {
  const { errors } = await run(icd, PROBE);
  return errors.has(PROBE) && errors.get(PROBE) === undefined ? undefined : NO_ADAPTER;
}

async function run(icd: string, ...names: string[]): Promise<{ errors: Map<string, string | undefined>; stderr: string }> {
  const child = promisify(execFile)(process.execPath, [...scriptWords(script), ...names], { env: withDriver(icd) });
  const { stdout, stderr } = await child.catch((error) => error as { stdout: string; stderr: string });
  const lines = stdout.split("\n").filter((line) => line.startsWith("{"));
  const found = lines.map((line) => JSON.parse(line) as { name: string; error?: string });
  return { errors: new Map(found.map(({ name, error }) => [name, error])), stderr };
}

for (const name of Object.keys(checks)) {
  if (!answers) {
    test.skip(name, reason ?? NO_DRIVER);
    continue;
  }
  const check = async (): Promise<void> => {
    const { errors, stderr } = await answers;
    assert.ok(errors.has(name), `the process ended without an answer: ${stderr}`);
    assert.is(errors.get(name), undefined);
  };
  test(name, check, { seconds: 240 });
}

test("the driver named in the environment comes first", () => {
  assert.is(findDriver({ VK_ICD_FILENAMES: "/one.json" }), "/one.json");
  assert.is(findDriver({ VK_DRIVER_FILES: "/two.json", VK_ICD_FILENAMES: "/one.json" }), "/two.json");
});

test.run();
