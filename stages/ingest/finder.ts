import type { Entry } from "./listing.ts";

/** What a name that stands in a file leads to: the files so called, nothing, or several between which it does not decide. */
export type Found = Entry[] | "ambiguous" | undefined;

/**
 * Finds files by names as people and programs write them. The very name goes first; then the name composed (NFC, where a
 * Mac decomposes), with `/` for a backslash and without `./`; then any case. Each of the last two only where it leads to one name.
 * `keyOf` is what of a file's name is to be found: all of it, or what is in front of its extension.
 */
export function createFinder(files: Entry[], keyOf: (name: string) => string = (name) => name): (name: string) => Found {
  const exact = new Map<string, Entry[]>();
  for (const file of files) {
    const key = keyOf(file.name);
    const group = exact.get(key);
    if (group) group.push(file);
    else exact.set(key, [file]);
  }
  const levels = [plain, caseless].map((loosen) => ({ loosen, names: undefined as Map<string, string | null> | undefined }));
  return (name) => {
    const group = exact.get(name);
    if (group) return group;
    for (const level of levels) {
      level.names ??= loosened(exact.keys(), level.loosen); // only once a name is not found as it stands
      const found = level.names.get(level.loosen(name));
      if (found !== undefined) return found === null ? "ambiguous" : exact.get(found);
    }
    return undefined;
  };
}

/** The names by what they loosen to; null where that is several. */
function loosened(names: Iterable<string>, loosen: (name: string) => string): Map<string, string | null> {
  const loose = new Map<string, string | null>();
  for (const name of names) {
    const key = loosen(name);
    loose.set(key, loose.has(key) ? null : name);
  }
  return loose;
}

function plain(name: string): string {
  return name
    .normalize("NFC")
    .replaceAll("\\", "/")
    .replace(/\/{2,}/g, "/")
    .replace(/(^|\/)(\.\/)+/g, "$1");
}

function caseless(name: string): string {
  return plain(name).toLowerCase().normalize("NFC");
}
