/** A folder of files, or one page, as a source: what a static site and the page of a run need of a server. */
import { realpath, stat } from "node:fs/promises";
import { extname, join, resolve, sep } from "node:path";
import { absent } from "../../schemas/system-error.ts";
import { type Answer, type Asked, json, nothingHere, type Source } from "./answer.ts";

const types: Readonly<Record<string, string>> = {
  ".css": "text/css; charset=utf-8",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".json": "application/json; charset=utf-8",
  ".md": "text/markdown; charset=utf-8",
  ".mjs": "text/javascript; charset=utf-8",
  ".png": "image/png",
  ".svg": "image/svg+xml",
  ".txt": "text/plain; charset=utf-8",
  ".wasm": "application/wasm", // browsers compile it while it loads only under this type
  ".webmanifest": "application/manifest+json",
};

/** Frames of others are refused; all else is for a page's own policy to say, where the server knows nothing of the page. */
const unknownPage = "frame-ancestors 'none'";

/** Serves a folder's files, index.html at its root. A path that leads out of the folder, by dots or by links, is not there. */
export function folderSource(folder: string, policy: string = unknownPage): Source {
  return {
    policy,
    answer: async (asked) => {
      const path = await pathIn(folder, decodeURIComponent(asked.address.pathname));
      return path === undefined ? nothingHere() : fileAnswer(path, asked);
    },
    close: async () => {},
  };
}

/** Serves one page, as it is at every moment, and nothing beside it. */
export function pageSource(path: string): Source {
  return {
    policy: unknownPage,
    answer: async (asked) => (asked.address.pathname === "/" ? fileAnswer(path, asked) : nothingHere()),
    close: async () => {},
  };
}

/** Where a path of an address lies below the folder; undefined where it leads elsewhere or to nothing. Hidden files are nothing. */
async function pathIn(folder: string, pathname: string): Promise<string | undefined> {
  const parts = pathname.split("/").filter((part) => part !== "");
  if (parts.some((part) => part.startsWith(".") || /[\0\\]/.test(part))) return undefined;
  const asked = join(folder, ...parts, pathname.endsWith("/") ? "index.html" : "");
  const [root, path] = await Promise.all([realpath(folder), realpath(asked).catch(() => undefined)]); // what cannot be reached is nothing
  return path?.startsWith(resolve(root) + sep) ? path : undefined;
}

/** A file, or the range of it that is asked for. */
async function fileAnswer(path: string, { range }: Asked): Promise<Answer> {
  const found = await stat(path).catch(absent);
  if (!found?.isFile()) return nothingHere();
  const { size } = found;
  const type = types[extname(path).toLowerCase()] ?? "application/octet-stream";
  const headers = { "accept-ranges": "bytes" };
  const part = range === undefined ? undefined : partOf(range, size);
  if (part === "unsatisfiable")
    return { ...json({ error: `the file has ${size} bytes` }, 416), headers: { "content-range": `bytes */${size}` } };
  if (!part) return { status: 200, type, content: { path, from: 0, to: size }, headers };
  const span = `bytes ${part.from}-${part.to - 1}/${size}`;
  return { status: 206, type, content: { path, ...part }, headers: { ...headers, "content-range": span } };
}

/** The bytes that a header `Range` asks for (RFC 9110, 14); undefined where it is several ranges or none that is known: all are sent. */
function partOf(range: string, size: number): { from: number; to: number } | "unsatisfiable" | undefined {
  const found = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(range.trim());
  if (!found || found[0] === "bytes=-") return undefined;
  const [first, last] = [found[1] as string, found[2] as string];
  const from = first === "" ? Math.max(0, size - Number(last)) : Number(first);
  const to = first === "" || last === "" ? size : Math.min(size, Number(last) + 1);
  if (first !== "" && last !== "" && Number(last) < from) return undefined;
  return from < to ? { from, to } : "unsatisfiable";
}
