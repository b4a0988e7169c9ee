/** Files that grow by whole lines. */
import { open } from "node:fs/promises";
import { writeError } from "../../schemas/system-error.ts";

/**
 * Appends one whole line and makes it durable. A torn line left by a kill is first ended, so it spoils only itself.
 *
 * @example
 * import { readFile } from "node:fs/promises";
 * import { appendLine } from "./append-line.ts";
 * import { writeAtomic } from "./atomic.ts";
 * await writeAtomic(`${folder}/journal`, "torn by a kill");
 * await appendLine(`${folder}/journal`, "whole");
 * assert.equal(await readFile(`${folder}/journal`, "utf8"), "torn by a kill\nwhole\n");
 */
export async function appendLine(path: string, line: string): Promise<void> {
  try {
    const file = await open(path, "a+");
    try {
      const { size } = await file.stat();
      const last = Buffer.alloc(1, "\n");
      if (size > 0) await file.read(last, 0, 1, size - 1);
      await file.appendFile(last.toString("latin1") === "\n" ? `${line}\n` : `\n${line}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
  } catch (error) {
    throw writeError(path, error);
  }
}
