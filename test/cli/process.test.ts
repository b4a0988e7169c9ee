import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, openSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { scriptWords } from "../fixtures/script.ts";
import { assert, suite } from "../harness.ts";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const slow = [...scriptWords(join(root, "test/fixtures/slow-command.ts")), "wait"];

const test = suite("command line process");

function start(
  args: string[],
  own: Record<string, string | undefined> = {},
): {
  child: ChildProcess;
  output: { out: string; err: string };
  ended: Promise<unknown[]>;
} {
  const child = spawn(process.execPath, args, {
    cwd: root,
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, NODE_NO_WARNINGS: "1", ...own },
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
  const fromSource = start(["bin/pipeline", "--version"], { ONESTEP_BUILT: undefined }); // what test/run.mjs may have made
  assert.equal(await fromSource.ended, [0, null], fromSource.output.err);
  assert.is(fromSource.output.out, output.out);
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

/** Exit code and errors of a command whose reader goes away once it is ready. */
async function withoutReader(args: string[], stream: "stdout" | "stderr" = "stdout"): Promise<{ code: unknown; err: string }> {
  const { child, output, ended } = start([...scriptWords(join(root, "test/fixtures/slow-command.ts")), ...args]);
  await until(() => output.out, "ready");
  child[stream]!.destroy();
  if (stream === "stderr") child.kill("SIGINT"); // it then writes there
  const [code] = await ended;
  return { code, err: output.err };
}

const closedPipe = async (): Promise<void> => {
  assert.equal(await withoutReader(["look", "--lines"]), { code: 0, err: "" });
  const stopped = (line: string) => ({ code: 141, err: `Stopped. The same command resumes: pipeline ${line}\n` });
  for (const line of ["wait --lines", "wait --lines --json", "look --lines --grid grid.png"]) {
    assert.equal(await withoutReader(line.split(" ")), stopped(line));
  }
  assert.is((await withoutReader(["wait"], "stderr")).code, 141);
};
test("a closed pipe, as of `| head`, ends silently and with 0 what only looks, and never what works", closedPipe, { seconds: 120 });

test("a full disk behind stdout is said, and is not 0", async () => {
  if (!existsSync("/dev/full")) return;
  const child = spawn(process.execPath, [...slow, "--lines"], {
    cwd: root,
    stdio: ["ignore", openSync("/dev/full", "w"), "pipe"],
    env: { ...process.env, NODE_NO_WARNINGS: "1" },
  });
  let err = "";
  child.stderr!.on("data", (text) => (err += text));
  const [code] = await once(child, "close");
  assert.is(code, 1);
  assert.match(err, /^Cannot write the output: the disk is full\. /);
  assert.not.match(err, /^ +at /m);
});

test("an error of the system that nobody catches is a sentence too", async () => {
  const { output, ended } = start([...slow, "--lost"]);
  assert.equal(await ended, [1, null]);
  assert.match(output.err, /^Cannot open \/nowhere\/at\/all: there is no such file or folder\. Check its name\.\n/);
  assert.not.match(output.err, /^ +at /m);
});

test.run();
