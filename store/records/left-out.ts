/** STORE/left-out.json: what was in the input of a store and is not in it. */
import { Failure } from "../../schemas/failure.ts";
import { type LeftOut, parseLeftOut } from "../../schemas/left-out.ts";
import { within } from "../places/place.ts";
import { readText } from "../places/text.ts";

/**
 * What was left out of a store, by reason; undefined of a store that says nothing of it: of triples, or of an earlier
 * version. Throws a Failure where the file is damaged.
 *
 * @example
 * import { writeAtomic } from "../places/atomic.ts";
 * import { readLeftOut } from "./left-out.ts";
 * assert.equal(await readLeftOut({ folder }), undefined);
 * await writeAtomic(`${folder}/left-out.json`, '{"leftOut": []}');
 * assert.deepEqual(await readLeftOut({ folder }), []);
 */
export async function readLeftOut({ folder }: { folder: string }): Promise<LeftOut[] | undefined> {
  const path = within(folder, "left-out.json");
  const text = await readText(path);
  if (text === undefined) return undefined;
  const list = parseLeftOut(text);
  if (list) return list;
  throw new Failure(`Cannot read ${path}: it is damaged. Repeat the command that made the store: it is written anew.`);
}
