/** One command line of the product, tried as a user would: bounded in time and memory, and judged by what it left on the terminal. */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** Seconds and bytes that a wrong input may take; a command that passes twice as much is killed. */
const [SECONDS, BYTES] = [30, 2 ** 30];

export interface Outcome {
  code: number | null; // null: killed
  out: string;
  err: string;
  seconds: number;
  peak: number; // bytes of resident memory
}

export interface Trial {
  /** Runs `pipeline ARGS --preset smoke` in the folder. Long work gets `patience`, in seconds, and large work `most`, in bytes. */
  p: (args: readonly string[], options?: { patience?: number; most?: number }) => Promise<Outcome>;
  /** The trial's own folder. */
  folder: string;
  /** A file or folder of the data, where it lies. */
  data: (path: string) => string;
}

export function trialIn(folder: string, data: string): Trial {
  return {
    folder,
    data: (path) => `${data}/${path}`,
    p: (args, { patience = 2 * SECONDS, most = BYTES } = {}) => run({ args: [...args, "--preset", "smoke"], folder, patience, most }),
  };
}

function run(options: { args: readonly string[]; folder: string; patience: number; most: number }): Promise<Outcome> {
  const { args, folder, patience, most } = options;
  const started = performance.now();
  const child = spawn(process.execPath, [`${root}bin/pipeline`, ...args], {
    cwd: folder,
    env: { ...process.env, ONESTEP_CACHE: `${folder}/cache` },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const outcome: Outcome = { code: null, out: "", err: "", seconds: 0, peak: 0 };
  child.stdout.on("data", (bytes: Buffer) => (outcome.out += bytes.toString()));
  child.stderr.on("data", (bytes: Buffer) => (outcome.err += bytes.toString()));
  const watch = setInterval(() => {
    outcome.peak = Math.max(outcome.peak, peakOf(child.pid!));
    if (performance.now() - started > 1000 * patience || outcome.peak > 2 * most) child.kill("SIGKILL");
  }, 50);
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => {
      clearInterval(watch);
      resolve({ ...outcome, code, seconds: (performance.now() - started) / 1000 });
    });
  });
}

/** The most memory that a process has had, where the system tells (Linux). */
function peakOf(pid: number): number {
  try {
    return 1024 * Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0);
  } catch {
    return 0; // it has ended
  }
}

/** What is wrong with any ending: a stack, a killed process, a raw control character, too much time or memory. */
export function faultsOf({ code, out, err, seconds, peak }: Outcome, most = BYTES): string[] {
  const text = out + err;
  return [
    ...(code === null ? [`killed after ${seconds.toFixed(0)} s at ${(peak / 2 ** 20).toFixed(0)} MiB`] : []),
    ...(code !== null && code > 2 && code !== 130 ? [`exit ${code}`] : []),
    ...(/^\s+at .*:\d+:\d+/m.test(err) || text.includes("mistake in onestep") ? [`a stack: ${firstLine(err)}`] : []),
    ...(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/.test(text) ? ["raw control characters"] : []),
    ...(peak > most ? [`${(peak / 2 ** 20).toFixed(0)} MiB`] : []),
  ];
}

/** Faults of an ending that must be a refusal: of any ending, or exit 0, or no sentence. */
export function unrefused(outcome: Outcome, words = /./): string[] {
  const faults = faultsOf(outcome);
  if (faults.length > 0) return faults;
  if (outcome.seconds > SECONDS) faults.push(`refused after ${outcome.seconds.toFixed(0)} s`);
  if (outcome.code === 0) faults.push("exit 0");
  if (!words.test(outcome.err + outcome.out)) faults.push(`no word of ${words.source}: ${firstLine(outcome.err)}`);
  return faults;
}

/** Faults of an ending that must be success; of work that is not small, with the memory it may take. */
export function undone(outcome: Outcome, most = BYTES): string[] {
  const faults = faultsOf(outcome, most);
  return faults.length > 0 || outcome.code === 0 ? faults : [`exit ${outcome.code}: ${firstLine(outcome.err)}`];
}

function firstLine(text: string): string {
  return JSON.stringify(text.trim().split("\n").at(0)?.slice(0, 160) ?? "");
}
