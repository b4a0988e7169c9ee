/** Names of tensors in one layout and in another, by what they begin with. */

/**
 * What names begin with here, or whole names, and what stands there in its place. Several may have one name there: it is all of them in
 * one.
 */
export type NameTable = ReadonlyMap<string, string>;

/** A name with its longest beginning of whole words that the table has replaced; undefined where it has none. */
export function renamed(name: string, table: NameTable): string | undefined {
  for (let end = name.length; end > 0; end = name.lastIndexOf(".", end - 1)) {
    const found = table.get(name.slice(0, end));
    if (found !== undefined) return found + name.slice(end);
  }
  return undefined;
}

/** The way back: what is called `name` there, one or several names in the table's order; none where the table does not lead there. */
export function restored(table: NameTable): (name: string) => string[] {
  const back = new Map<string, string[]>();
  for (const [here, there] of table) back.set(there, [...(back.get(there) ?? []), here]);
  return (name) => {
    for (let end = name.length; end > 0; end = name.lastIndexOf(".", end - 1)) {
      const found = back.get(name.slice(0, end));
      if (found) return found.map((here) => here + name.slice(end));
    }
    return [];
  };
}

/** How many different first groups an expression finds in the names: blocks, levels, layers. */
export function countOf(names: readonly string[], pattern: RegExp): number {
  return new Set(names.flatMap((name) => pattern.exec(name)?.[1] ?? [])).size;
}
