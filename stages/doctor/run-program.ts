/** Other programs that a build asks: a compiler, a Python. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { badUsage } from "../../schemas/failure.ts";

/** Of what a program said, the first line. */
export const firstLine = (text: string): string => text.trim().split("\n")[0] as string;

/** What a program prints; rejects with what it printed to stderr. */
export function run(program: string, words: string[], signal?: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(program, words, { signal, maxBuffer: 2 ** 26 }, (error, stdout, stderr) => {
      if (!error) return resolve(stdout);
      reject(stderr.trim() && error.code !== "ENOENT" ? Object.assign(new Error(stderr.trim()), { code: error.code }) : error);
    });
  });
}

/** Why a program that was asked did not answer, in words. */
export const whyNot = ({ code, message }: NodeJS.ErrnoException): string =>
  code === "ENOENT" ? "there is no such program" : firstLine(message);

/** The Python that `from` is, or the one of the virtual environment in that folder. */
export function pythonOf(from: string): string {
  const virtual = join(from, "bin/python");
  return existsSync(virtual) ? virtual : from;
}

/**
 * What a Python prints when it runs a script. Throws a usage failure that begins with `action` where it does not run; `remedy` says
 * what to name instead.
 */
export async function askPython(
  python: string,
  script: string,
  how: { action: string; remedy: string; signal?: AbortSignal },
): Promise<string> {
  const { action, remedy, signal } = how;
  return run(python, ["-c", script], signal).catch((error) => {
    if (signal?.aborted) throw signal.reason;
    throw badUsage(`${action}: it does not run as Python (${whyNot(error)}); ${remedy}`);
  });
}
