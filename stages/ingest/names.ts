/** Names of archive entries: labels that others chose, so never paths to write to and never printed raw. */

/**
 * Why a name points outside its archive (absolute, a drive or scheme, `..`, a backslash), if it does. A colon alone is part of
 * a name: `12:30.png`.
 */
export function unsafeName(name: string): string | undefined {
  if (/^(\/|[A-Za-z]:[\\/]|[A-Za-z][\w+.-]*:\/\/)/.test(name)) return `unsafe name: it is absolute; ${REPACK}`;
  if (name.split(/[\\/]/).includes("..")) return `unsafe name: it climbs out of its folder; ${REPACK}`;
  if (name.includes("\\")) return `unsafe name: it holds a backslash where other names have slashes; ${REPACK}`;
  return undefined;
}

const REPACK = "pack the folder again with another program";

/**
 * The names with slashes, where a zip of Windows has backslashes instead; unchanged where any has a slash, since a
 * backslash may be part of a name then.
 */
export function withSlashes(names: string[]): string[] {
  const isOfWindows = names.some((name) => name.includes("\\")) && !names.some((name) => name.includes("/"));
  return isOfWindows ? names.map((name) => name.replaceAll("\\", "/")) : names;
}

/** Whether the name ends like an image's. A hint for guessing class folders only: formats are told by content. */
export function looksLikeImage(name: string): boolean {
  return /\.(png|jpe?g|webp|gif|tiff?|bmp|avif|heic)$/i.test(name);
}

/** Orders names by their UTF-8 bytes: the same on every machine and in every locale. */
export function byteOrder(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const difference = rank(a.charCodeAt(i)) - rank(b.charCodeAt(i));
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

// UTF-16 and UTF-8 disagree in one place: surrogates stand for code points above U+FFFF.
function rank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit;
}

/** The folder part of a name, with its slash; empty at the top. */
export function folderOf(name: string): string {
  return name.slice(0, name.lastIndexOf("/") + 1);
}

/** The name without its extension. */
export function stemOf(name: string): string {
  return name.replace(/\.[^./]*$/, "");
}
