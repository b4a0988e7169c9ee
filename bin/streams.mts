/** Where the output goes, and what it means for a command when its reader goes away. */
import { systemError } from "../schemas/system-error.ts";
import type { Entry } from "./command.mts";

/** As a shell reports a program that SIGPIPE ended. */
const READER_GONE = 141;

/** Writers to stdout and stderr that never throw, and what a command's exit code becomes where one of them broke. */
export interface Streams {
  out: (text: string) => void;
  err: (text: string) => void;
  exitCode: (code: number) => number;
}

/**
 * Watches the process's output. Where its reader has seen enough (`| head`), a command whose output is all it makes has
 * done what was asked: exit code 0, at once. Any other is stopped cleanly, and its work was cut: it does not answer 0.
 */
export function watchStreams(options: { args: readonly string[]; table: readonly Entry[]; controller: AbortController }): Streams {
  const { args, table, controller } = options;
  let instead: number | undefined;

  const broken = (stream: "stdout" | "stderr", error: NodeJS.ErrnoException): void => {
    if (instead !== undefined) return;
    instead = error.code === "EPIPE" ? READER_GONE : 1;
    if (instead === READER_GONE && isSeen(args, table)) process.exit(0);
    if (instead === 1 && stream === "stdout") {
      const { message } = systemError(Object.assign(error, { path: "the output" })) ?? error;
      write("stderr", `${message}\n`);
    }
    if (process.exitCode === undefined || process.exitCode === 0) process.exitCode = instead;
    controller.abort();
  };
  const write = (stream: "stdout" | "stderr", text: string): void => {
    try {
      process[stream].write(text);
    } catch (error) {
      broken(stream, error as NodeJS.ErrnoException);
    }
  };
  for (const stream of ["stdout", "stderr"] as const) {
    process[stream].on("error", (error: NodeJS.ErrnoException) => broken(stream, error));
  }
  return {
    out: (text) => write("stdout", text),
    err: (text) => write("stderr", text),
    exitCode: (code) => (instead !== undefined && (code === 0 || code === 130) ? instead : code),
  };
}

/** Whether all that the command makes is what it prints: it writes no file, and answers or only looks. */
function isSeen(args: readonly string[], table: readonly Entry[]): boolean {
  const command = table.find(({ name }) => name === args[0]);
  if (!command || "answer" in command || args.includes("--help") || args.includes("-h")) return true;
  const written = Object.entries(command.flags).filter(([, { output }]) => output !== undefined);
  return command.looks === true && !args.some((word) => written.some(([flag]) => word.split("=")[0] === `--${flag}`));
}
