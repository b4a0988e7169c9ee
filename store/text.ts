import { readFile, stat } from "node:fs/promises";
import { Failure } from "../schemas/failure.ts";

const mostBytes = 2 ** 26;

/** The text of a small file of a store; undefined when there is none. Throws a Failure where it is larger than any such file. */
export async function readText(path: string): Promise<string | undefined> {
  try {
    const { size } = await stat(path);
    if (size > mostBytes) {
      throw new Failure(
        `Cannot read ${path}: it has ${size} bytes, expected at most ${mostBytes}. It is none of a store's files: move it away.`,
      );
    }
    return await readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
