import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { assert, suite } from "../harness.ts";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const loader = "typescript" in process.features && process.features.typescript ? [] : ["--import", "tsx"];
const slow = [...loader, join(root, "test/fixtures/slow-command.ts"), "wait"];

const test = suite("command line process");

function start(args: string[]): {
  child: ChildProcess;
  output: { out: string; err: string };
  ended: Promise<unknown[]>;
} {
  const child = spawn(process.execPath, args, {
    cwd: root,
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, NODE_NO_WARNINGS: "1" },
  });
  const output = { out: "", err: "" };
  child.stdout!.on("data", (text) => (output.out += text));
  child.stderr!.on("data", (text) => (output.err += text));
  return { child, output, ended: once(child, "close") };
}

/** Waits until the output holds a text; the test's own limit ends a wait in vain. */
async function until(output: () => string, text: string): Promise<void> {
  while (!output().includes(text)) await new Promise((resolve) => setTimeout(resolve, 10));
}

test("the launcher prints the version, and help without loading any pipeline", async () => {
  const { output, ended } = start(["bin/pipeline", "--version"]);
  assert.equal(await ended, [0, null], output.err);
  assert.match(output.out, /^\d+\.\d+\.\d+\n$/);
});

test("the first Ctrl-C stops cleanly, says how to resume and exits 130", async () => {
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    const { child, output, ended } = start(slow);
    await until(() => output.out, "ready");
    child.kill(signal);
    assert.equal(await ended, [130, null]);
    assert.match(output.err, /Stopping cleanly.*\n(.*\n)*Stopped. The same command resumes: pipeline wait\n$/);
  }
});

test("the second Ctrl-C exits at once", async () => {
  const { child, output, ended } = start([...slow, "--deaf"]);
  await until(() => output.out, "ready");
  child.kill("SIGINT");
  await until(() => output.err, "once more");
  child.kill("SIGINT");
  assert.equal(await ended, [130, null]);
});

test("a closed pipe, as of `| head`, ends it silently", async () => {
  const { child, output, ended } = start([...slow, "--lines"]);
  await until(() => output.out, "ready");
  child.stdout!.destroy();
  assert.equal(await ended, [0, null]);
  assert.is(output.err, "");
});

test.run();
