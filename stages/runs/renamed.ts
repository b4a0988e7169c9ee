/** Records in which a folder of this machine has another name: that of the URL for which it stands. */

/** Of each folder that stands for a URL now, what names the URL instead. */
const standing = new Map<string, (text: string) => string>();

/** Until what is answered is called, `folder` stands for the URL that `named` puts in its place. */
export function standsFor(folder: string, named: (text: string) => string): () => void {
  standing.set(folder, named);
  return () => void standing.delete(folder);
}

/** A record that is to last: with URLs in the place of the folders that stand for them, which no other machine has. */
export function lasting(record: object): object {
  return [...standing.values()].reduce((found, named) => renamed(found, named) as object, record);
}

/** A value with another text for each in it. */
export function renamed(value: unknown, named: (text: string) => string): unknown {
  if (typeof value === "string") return named(value);
  if (Array.isArray(value)) return value.map((each) => renamed(each, named));
  if (value === null || typeof value !== "object" || ArrayBuffer.isView(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, renamed(each, named)]));
}
