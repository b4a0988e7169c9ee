/**
 * uvu behind one small wrapper. uvu by itself passes silently a test that rejects with something other than an Error,
 * a failing `before` hook, an unhandled rejection and a suite that ran no test, and it waits for ever. Here a test has
 * passed only when its body was seen to settle well within its time limit; everything else is a failure.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { inspect } from "node:util";
import { suite as uvuSuite } from "uvu";
import * as uvuAssert from "uvu/assert";

type Body = () => unknown;
type Hook = (body: Body, options?: Limit) => void;

interface Limit {
  seconds?: number;
}

export interface Suite {
  (name: string, body: Body, options?: Limit): void;
  skip: (name: string, reason: string) => void;
  before: Hook & { each: Hook };
  after: Hook & { each: Hook };
  run: () => void;
}

interface Ledger {
  name: string;
  tests: { name: string; passed: boolean }[];
  skips: { name: string; reason: string }[];
  running: boolean;
}

/** Limits are written for a quiet machine, generously; those that share theirs with others, or are old, are waited for as many times. */
const PATIENCE = 4;

const { ONESTEP_TEST_REPORT: report } = process.env;
delete process.env.ONESTEP_TEST_REPORT; // what a test starts reports nothing
const ledgers: Ledger[] = [];
let strays = 0;
const lingerSeconds = Number(process.env.ONESTEP_TEST_LINGER ?? 30);
let linger: NodeJS.Timeout | undefined;

/**
 * A named suite. Register tests by calling it, then call `run()`.
 * A test fails when its body throws or rejects with anything at all, or hangs: `seconds` (default 30) are four times as many here.
 */
export function suite(name: string): Suite {
  const inner = uvuSuite(name);
  const ledger: Ledger = { name, tests: [], skips: [], running: false };
  ledgers.push(ledger);

  const hook =
    (register: (body: () => Promise<void>) => void, when: string): Hook =>
    (body, { seconds = 30 } = {}) =>
      register(async () => {
        try {
          await limited(`the "${when}" hook of ${name}`, body, seconds);
        } catch (error) {
          stray(`${name}: the "${when}" hook failed`, error);
          throw error;
        }
      });

  const add = (title: string, body: Body, { seconds = 30 }: Limit = {}) => {
    const entry = { name: title, passed: false };
    ledger.tests.push(entry);
    inner(title, async () => {
      await limited(`"${title}"`, body, seconds);
      entry.passed = true;
    });
  };

  return Object.assign(add, {
    skip: (title: string, reason: string) => {
      ledger.skips.push({ name: title, reason });
      console.log(`skipped "${title}": ${reason}`);
    },
    before: Object.assign(hook(inner.before, "before"), { each: hook(inner.before.each, "before each") }),
    after: Object.assign(hook(inner.after, "after"), { each: hook(inner.after.each, "after each") }),
    run: () => {
      ledger.running = true;
      inner.run();
    },
  });
}

/** uvu's assertions, and those that numbers and promises need. */
export const assert: typeof uvuAssert & { close: typeof close; rejects: typeof rejects } = {
  ...uvuAssert,
  close,
  rejects,
};

/** Fails unless every |actual - expected| <= tolerance. Arrays must have the same length; NaN is close to nothing. */
function close(actual: number | ArrayLike<number>, expected: number | ArrayLike<number>, tolerance: number, message?: string): void {
  const left = typeof actual === "number" ? [actual] : actual;
  const right = typeof expected === "number" ? [expected] : expected;
  if (left.length !== right.length) {
    throw new Error(`${message ?? "close"}: length ${left.length}, expected ${right.length}`);
  }
  let worst = 0;
  let at = -1;
  for (let i = 0; i < left.length; i++) {
    const difference = left[i] === right[i] ? 0 : Math.abs(left[i]! - right[i]!);
    if (difference <= worst) continue; // NaN falls through
    worst = difference;
    at = i;
    if (Number.isNaN(difference)) break;
  }
  if (worst <= tolerance) return;
  const place = typeof actual === "number" ? "" : ` at index ${at}`;
  throw new Error(`${message ?? "close"}: got ${left[at]}, expected ${right[at]}${place} (difference ${worst}, tolerance ${tolerance})`);
}

/** Fails unless the promise rejects with an Error whose message matches; answers that error. */
async function rejects(promise: Promise<unknown> | (() => Promise<unknown>), expected: RegExp | string = ""): Promise<Error> {
  let result: unknown;
  try {
    result = await (typeof promise === "function" ? promise() : promise);
  } catch (error) {
    if (!(error instanceof Error)) throw asError(error);
    if (typeof expected === "string") uvuAssert.ok(error.message.includes(expected), `"${error.message}" lacks "${expected}"`);
    else uvuAssert.match(error.message, expected);
    return error;
  }
  throw new Error(`expected a rejection, got ${inspect(result)}`);
}

/** Runs a body under a time limit, and makes an Error of whatever it throws. The runner is told what begins, for it may never end. */
async function limited(what: string, body: Body, seconds: number): Promise<void> {
  clearTimeout(linger);
  if (report) writeFileSync(`${report}.begun`, what);
  let timer: NodeJS.Timeout | undefined;
  const limit = PATIENCE * seconds;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`took longer than its limit of ${limit} s`)), limit * 1000);
  });
  try {
    await Promise.race([(async () => body())(), late]);
  } catch (error) {
    throw asError(error);
  } finally {
    clearTimeout(timer);
    if (report) writeFileSync(`${report}.begun`, "");
    linger = setTimeout(reportLingering, lingerSeconds * 1000).unref();
  }
}

function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(`threw ${inspect(thrown)}, which is not an Error`);
}

/** Reached only when nothing ran for a while and yet something keeps the process alive. */
function reportLingering(): void {
  const open = process.getActiveResourcesInfo().filter((name) => name !== "Timeout");
  stray(`still alive ${lingerSeconds} s after the last test: something was left open`, open.join(", "));
  process.exit(1);
}

function stray(what: string, error: unknown): void {
  strays++;
  console.error(`\nFAIL ${what}: ${error instanceof Error ? error.stack : inspect(error)}`);
}

process.on("unhandledRejection", (reason) => stray("unhandled rejection", reason));
process.on("uncaughtException", (error) => stray("uncaught exception", error));

/** Seconds of processors' time that this process took, and where the system tells (Linux) those of its children that have ended. */
function processorSeconds(): number {
  const { userCPUTime, systemCPUTime } = process.resourceUsage();
  return (userCPUTime + systemCPUTime) / 1e6 + childrenSeconds();
}

function childrenSeconds(): number {
  try {
    const fields = readFileSync("/proc/self/stat", "utf8")
      .replace(/^.*\) /, "")
      .split(" "); // from the third, proc_pid_stat(5)
    return (Number(fields[13]) + Number(fields[14])) / 100; // in ticks of 10 ms
  } catch {
    return 0;
  }
}

process.on("exit", (code) => {
  let passed = 0;
  let failed = strays;
  for (const { name, tests, skips, running } of ledgers) {
    passed += tests.filter((test) => test.passed).length;
    failed += tests.filter((test) => !test.passed).length;
    if (!running) console.error(`FAIL suite "${name}" was never run: call its run()`);
    if (tests.length + skips.length === 0) {
      failed++;
      console.error(`FAIL suite "${name}" ran no test`);
    }
  }
  if (failed === 0 && code !== 0 && code !== undefined) {
    failed++;
    console.error(`FAIL the process exited with ${code}`);
  }
  if (report)
    writeFileSync(report, JSON.stringify({ passed, failed, skips: ledgers.flatMap(({ skips }) => skips), cpu: processorSeconds() }));
  if (failed > 0) process.exitCode = 1;
});
