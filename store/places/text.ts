import { Failure } from "../../schemas/failure.ts";
import { filesAt } from "./files.ts";

const mostBytes = 2 ** 26;

/**
 * The text of a small file of a store; undefined when there is none. Throws a Failure where it is larger than any such file.
 *
 * @example
 * import { readText } from "./text.ts";
 * assert.ok((await readText(`${latents.folder}/store.json`))?.startsWith("{"));
 * assert.equal(await readText(`${latents.folder}/nothing`), undefined);
 */
export async function readText(path: string): Promise<string | undefined> {
  const size = await filesAt(path).size(path);
  if (size === undefined) return undefined;
  if (size > mostBytes) {
    throw new Failure(
      `Cannot read ${path}: it has ${size} bytes, expected at most ${mostBytes}. It is none of a store's files: move it away.`,
    );
  }
  const bytes = await filesAt(path).read(path, { from: 0, to: size });
  return bytes && Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString();
}
