import { mkdir, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { Zip, ZipPassThrough } from "fflate";
import { badUsage, Failure } from "../../schemas/failure.ts";
import { renderScene } from "./draw.ts";
import { captionOf, scene } from "./scene.ts";

interface Request {
  path: string;
  count: number;
  seed: number | bigint;
  /** Width and height in pixels, 64 unless told. */
  size?: number;
  signal?: AbortSignal;
  onProgress?: (progress: { done: number; count: number }) => void;
}

/**
 * Writes scenes 0 to count - 1 of a seed as a zip: one PNG each in its kind's folder (`boat/000123.png`), and
 * `captions.csv` (file_name,text). The bytes depend on count, seed, size and the version of sharp only: entries are
 * stored, timestamps fixed. Memory holds a few pictures and the captions. The file appears under its name when
 * complete; cancelling or failing leaves nothing behind.
 */
export async function writeSceneZip({ path, count, seed, size = 64, signal, onProgress }: Request): Promise<void> {
  if (!Number.isInteger(count) || count < 1 || count > 50_000) {
    throw badUsage(`Cannot draw ${count} pictures into ${path}: choose a whole number from 1 to 50000`);
  }
  const unfinished = `${path}.${process.pid}.tmp`;
  try {
    await mkdir(dirname(path), { recursive: true });
    const file = await open(unfinished, "w");
    try {
      for await (const chunk of zipChunks({ count, seed, size, signal, onProgress })) await file.writeFile(chunk);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(unfinished, path);
  } catch (error) {
    await rm(unfinished, { force: true }).catch(() => {});
    if (!(error as NodeJS.ErrnoException).syscall) throw error;
    const { message } = error as Error;
    throw new Failure(`Cannot write the pictures to ${path}: ${message}. Choose a writable folder with room for them`, {
      cause: error,
    });
  }
}

/** The zip's bytes in order, made as they are asked for. */
async function* zipChunks({ count, seed, size, signal, onProgress }: Omit<Request, "path"> & { size: number }): AsyncGenerator<Uint8Array> {
  const chunks: Uint8Array[] = [];
  const zip = new Zip((error, chunk) => {
    if (error) throw error;
    chunks.push(chunk);
  });
  const add = (name: string, bytes: Uint8Array) => {
    const entry = new ZipPassThrough(name);
    entry.mtime = EPOCH;
    zip.add(entry);
    entry.push(bytes, true);
  };
  let captions = "file_name,text\n";
  for (let first = 0; first < count; first += AT_ONCE) {
    signal?.throwIfAborted();
    const scenes = Array.from({ length: Math.min(AT_ONCE, count - first) }, (_, i) => scene({ seed, index: first + i }));
    const pictures = await Promise.all(scenes.map((each) => renderScene(each, { size })));
    for (const [i, picture] of pictures.entries()) {
      const drawn = scenes[i]!;
      const name = `${drawn.kind}/${String(first + i).padStart(6, "0")}.png`;
      add(name, picture);
      captions += `${name},"${captionOf(drawn)}"\n`;
    }
    yield* chunks.splice(0);
    onProgress?.({ done: first + scenes.length, count });
  }
  add("captions.csv", new TextEncoder().encode(captions));
  zip.end();
  yield* chunks.splice(0);
}

/** Pictures drawn side by side. */
const AT_ONCE = 8;
/** The first moment a zip can name, in local time, which is how zips tell time: the same bytes in every time zone. */
const EPOCH = new Date(1980, 0, 1);
