/** Files of a bucket that are mapped or given to other tools, and so must lie on this machine's disk. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { writeAtomic } from "./atomic.ts";
import { piecesOf } from "./buffers.ts";
import { isUrl } from "./place.ts";

let folder: string | undefined; // of this process, made when first needed
let copies = 0;

/**
 * The path of a file, or of a copy of an object, which lasts as long as the process.
 *
 * @example
 * import { localCopy } from "./local-copy.ts";
 * assert.equal(await localCopy(`${latents.folder}/store.json`), `${latents.folder}/store.json`);
 */
export async function localCopy(path: string): Promise<string> {
  if (!isUrl(path)) return path;
  folder ??= temporaryFolder();
  const copy = join(folder, `${copies++}-${basename(path)}`);
  await writeAtomic(copy, piecesOf(path));
  return copy;
}

function temporaryFolder(): string {
  const made = mkdtempSync(join(tmpdir(), "onestep-bucket-"));
  process.on("exit", () => rmSync(made, { recursive: true, force: true }));
  return made;
}
