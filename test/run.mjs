/**
 * Runs every test/**\/*.test.ts, each in its own process: `node test/run.mjs [PATTERN...]`.
 * A run of all files makes JavaScript of product and tests first (translate.mjs), which tests, compute workers and `bin/pipeline` start
 * from: where Node cannot strip types by itself, translation is two thirds of a start, and there are a thousand of them.
 * A file fails when a test of it failed, or when it crashed, hung (--limit seconds) or ran no test.
 * Prints one line a file with its time and its processes' time on a processor, the whole output of a file that failed, at the end what
 * failed once more in short (brief.mjs), and last `N passed, N failed`.
 */
import { spawn } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { dirname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { brief } from "./brief.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const root = dirname(here);
const cores = availableParallelism();
const jobs = Math.min(cores, Math.max(2, cores >> 1)); // many files wait for one thread; an engine's own threads want the rest
const { values, positionals: patterns } = parseArgs({
  allowPositionals: true,
  options: {
    folder: { type: "string", default: here },
    limit: { type: "string", default: "900" }, // seconds a file may take; its tests have limits of their own
    jobs: { type: "string", default: String(jobs) }, // files at a time
  },
});
const limit = Number(values.limit) * 1000;
const typed = process.features.typescript;
const reports = mkdtempSync(join(tmpdir(), "onestep-test-"));
const shared = join(reports, "shared"); // what many files begin with (fixtures/made-once.ts)
mkdirSync(shared);
const running = new Set();
const total = { passed: 0, failed: 0, skipped: 0, cpu: 0 };
const troubled = [];

const files = readdirSync(values.folder, { recursive: true })
  .filter((name) => name.endsWith(".test.ts"))
  .map((name) => join(values.folder, name))
  .filter((path) => patterns.length === 0 || patterns.some((pattern) => path.split(sep).join("/").includes(pattern)))
  .sort();

/** The files that take longest begin first, so that at the end no core waits for one of them. */
const LONG = [
  ...["package", "parity", "trunks", "kill", "every-first", "every-second", "train/train", "added", "text-students"],
  ...["known", "gradients", "growth", "published/webgpu", "engine/webgpu", "every-method"],
].map((name) => `${name}.test.ts`);

/** Files that wait for servers, browsers and file systems most of their time: one at a time runs beside the others. */
const WAITING = ["store/bucket", "cluster/slurm", "web/site", "store/damage", "web/road", "store/lock"].map((name) => `${name}.test.ts`);

/** Tests that start from TypeScript in every run: two import modules that they write, one looks for its own lines in messages. */
const AS_WRITTEN = ["docs/examples", "library/own-method", "engine/errors"].map((name) => `${name}.test.ts`);

/** What mostly is behind signals that nobody here has sent. */
const WHY = {
  SIGKILL: ", as the system does where memory runs out",
  SIGABRT: ", as V8 and native code do where they cannot go on",
  SIGSEGV: ", as native code is that reads where nothing is",
};

/** Starts scripts either way. */
const SCRIPTS = join(here, "fixtures/script.ts");

for (const signal of ["SIGINT", "SIGTERM"]) {
  process.on(signal, () => {
    for (const child of running) stop(child);
    process.exit(130);
  });
}
process.on("exit", () => rmSync(reports, { recursive: true, force: true }));

const built =
  values.folder !== here || typed ? undefined : (process.env.ONESTEP_BUILT ?? (patterns.length === 0 ? await translated() : undefined));
/** The words that start a file: as the JavaScript made of it; by the loader where it or what it imports names sources to be loaded. */
const startOf = (path) => {
  if (typed) return [path];
  if (!built || AS_WRITTEN.some((name) => path.endsWith(join(name)))) return ["--import", "tsx", path];
  if (namesSources(path)) return ["--import", new URL("translation.mjs", import.meta.url).href, path];
  return [join(built, "apart", relative(root, path)).replace(/ts$/, "js")];
};

/** Whether a file of tests, or one that it imports, starts or loads TypeScript by its path, or asks for the place of a line of it. */
function namesSources(path, seen = new Set()) {
  if (seen.has(path)) return false;
  seen.add(path);
  if (path === SCRIPTS) return false;
  const text = readFileSync(path, "utf8").replace(/fileURLToPath\(new URL\(.*?\)\)/g, ""); // what such a path starts has words of its own
  if (/execArgv|\.m?ts", import\.meta\.url|import\.meta\.(?!url)|\.ts:/.test(text)) return true;
  const imported = [...text.matchAll(/from "(\.\.?\/[^"]+\.ts)"/g)].map(([, name]) => join(dirname(path), name));
  return imported.some((name) => name.startsWith(here) && namesSources(name, seen));
}

const among = (names) => (path) => names.some((name) => path.endsWith(join(name)));
const [isLong, isWaiting] = [among(LONG), among(WAITING)];
const waiting = files.filter(isWaiting);
const others = files.filter((path) => !isWaiting(path));
const queue = [...others.filter(isLong), ...others.filter((path) => !isLong(path))];
const work = async (...queues) => {
  for (let path; (path = queues.find((each) => each.length > 0)?.shift()); ) print(await run({ path, index: files.indexOf(path) }));
};
await Promise.all([work(waiting), ...Array.from({ length: Number(values.jobs) }, () => work(queue, waiting))]);

if (files.length === 0) {
  console.log(`no test file matches ${patterns.join(" ")} in ${values.folder}`);
  total.failed++;
}
console.log(`\n${(total.cpu / 60).toFixed(1)} minutes of processors' time`);
for (const each of troubled) console.log(`\nfailed: ${brief(each)}`);
if (total.skipped > 0) console.log(`\n${total.skipped} skipped`);
console.log(`\n${total.passed} passed, ${total.failed} failed`);
process.exit(total.failed > 0 ? 1 : 0);

/** Makes product and tests as JavaScript, in a folder beside its source folders until this process ends. */
async function translated() {
  const folder = mkdtempSync(join(root, ".built-"));
  chmodSync(folder, 0o755); // a test that gives up its rights reads it too
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  const { translate } = await import("./translate.mjs");
  await translate(root, folder);
  return folder;
}

/** Runs one file in a process group of its own, so that a limit reaches its children too. */
function run({ path, index }) {
  const report = join(reports, `${index}.json`);
  const env = { ...process.env, ...(built && { ONESTEP_BUILT: built }), ONESTEP_TEST_REPORT: report, ONESTEP_TEST_SHARED: shared };
  const started = performance.now();
  const child = spawn(process.execPath, startOf(path), {
    cwd: root,
    detached: process.platform !== "win32",
    env: { ...env, NODE_NO_WARNINGS: "1" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  running.add(child);
  let output = "";
  let hung = false;
  child.stdout.setEncoding("utf8").on("data", (text) => (output += text));
  child.stderr.setEncoding("utf8").on("data", (text) => (output += text));
  const timer = setTimeout(() => {
    hung = true;
    stop(child);
  }, limit);
  return new Promise((resolve) => {
    child.on("exit", () => setTimeout(() => stop(child), 1000).unref()); // a grandchild may hold the pipes
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      running.delete(child);
      const seconds = (performance.now() - started) / 1000;
      resolve({ path, output, seconds, ...verdict({ report, code, signal, hung }) });
    });
  });
}

/** What the harness counted, corrected by what only the outside can see. */
function verdict({ report, code, signal, hung }) {
  let counts = { passed: 0, failed: 0, skips: [], cpu: 0 };
  let trouble = hung ? `hung: stopped after ${limit / 1000} s` : signal ? `killed by ${signal}${WHY[signal] ?? ""}` : "";
  try {
    counts = JSON.parse(readFileSync(report, "utf8"));
  } catch {
    trouble ||= `crashed or ran no test (exit code ${code})`;
  }
  if (trouble) trouble += begun(report);
  if (!trouble && counts.failed === 0) {
    if (code !== 0) trouble = `exit code ${code}`;
    else if (counts.passed + counts.skips.length === 0) trouble = "ran no test";
  }
  return { ...counts, failed: counts.failed + (trouble ? 1 : 0), trouble };
}

/** What was at work when a file ended that did not end by itself. */
function begun(report) {
  try {
    const what = readFileSync(`${report}.begun`, "utf8");
    return what ? ` in ${what}` : " after a test had ended";
  } catch {
    return " before a test began";
  }
}

function print({ path, output, seconds, cpu, passed, failed, skips, trouble }) {
  const name = relative(root, path);
  total.passed += passed;
  total.failed += failed;
  total.skipped += skips.length;
  total.cpu += cpu;
  const counts = `${passed} passed${failed > 0 ? `, ${failed} failed` : ""}`;
  console.log(
    `${failed > 0 ? "FAIL" : "  ok"}  ${seconds.toFixed(1).padStart(6)} s ${cpu.toFixed(1).padStart(6)} cpu-s  ${name}  ${counts}`,
  );
  for (const skip of skips) console.log(`                skipped "${skip.name}": ${skip.reason}`);
  if (failed === 0) return;
  troubled.push({ name, output, trouble });
  console.log(output.trimEnd().replace(/^/gm, "    | "));
  if (trouble) console.log(`    | ${name} ${trouble}`);
}

function stop(child) {
  try {
    if (process.platform === "win32") child.kill("SIGKILL");
    else process.kill(-child.pid, "SIGKILL");
  } catch {} // already gone
}
