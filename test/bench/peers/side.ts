/** A process that runs one program's steps on demand: ours.ts, or PyTorch's peers.py. */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

export interface Side {
  version: string;
  times: number[];
  /** Sends a line and answers the JSON that comes back. */
  ask: (line: string) => Promise<unknown>;
  close: () => void;
}

/** Starts one side and waits for its first step; `problem` says why it cannot run. `seconds` is how long it may take to begin. */
export async function startSide(
  command: string[],
  environment: Record<string, string>,
  note: string,
  seconds = 600,
): Promise<Side | { problem: string }> {
  const child = spawn(command[0] as string, command.slice(1), {
    env: { ...process.env, ...environment },
    stdio: ["pipe", "pipe", "pipe"],
  });
  let complaint = "";
  child.stderr.on("data", (data) => (complaint += data));
  child.stdin.on("error", () => {}); // it has ended: the reading side says so
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ended = new Promise<never>((_, reject) => {
    child.on("error", reject);
    child.on("exit", () => reject(new Error(saidOf(complaint))));
  });
  ended.catch(() => {});
  const read = async (): Promise<unknown> => {
    const { value, done } = await Promise.race([lines.next(), ended]);
    return done ? ended : JSON.parse(value as string); // its output ends before it does
  };
  let isLate = false;
  const limit = setTimeout(() => {
    isLate = true;
    child.kill("SIGKILL");
  }, seconds * 1000);
  try {
    const { version } = (await read()) as { version: string };
    const ask: Side["ask"] = (line) => {
      child.stdin.write(`${line}\n`);
      return read();
    };
    return { version: version + note, times: [], ask, close: () => child.kill("SIGKILL") };
  } catch (error) {
    child.kill("SIGKILL");
    return { problem: isLate ? `no first step within ${Math.round(seconds)} s` : (error as Error).message };
  } finally {
    clearTimeout(limit);
  }
}

/** The sentence among what a process printed as it failed: Python ends with it, Node puts its stack after it. */
function saidOf(complaint: string): string {
  const lines = complaint.trim().split("\n");
  return lines.findLast((line) => /^\w*(Error|Failure|Exception)\b/.test(line)) ?? (lines.at(-1) || "it ended without a word");
}
