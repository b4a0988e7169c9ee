import { readFile, stat } from "node:fs/promises";
import { Failure } from "../schemas/failure.ts";
import { absent } from "../schemas/system-error.ts";

const mostBytes = 2 ** 26;

/** The text of a small file of a store; undefined when there is none. Throws a Failure where it is larger than any such file. */
export async function readText(path: string): Promise<string | undefined> {
  const { size = 0 } = (await stat(path).catch(absent)) ?? {};
  if (size > mostBytes) {
    throw new Failure(
      `Cannot read ${path}: it has ${size} bytes, expected at most ${mostBytes}. It is none of a store's files: move it away.`,
    );
  }
  return readFile(path, "utf8").catch(absent);
}
