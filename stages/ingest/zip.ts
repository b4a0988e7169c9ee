import * as fs from "node:fs";
import { open } from "node:fs/promises";
import { basename } from "node:path";
import { promisify } from "node:util";
import { inflateRaw } from "node:zlib";
import StreamZip from "node-stream-zip";
import { Failure } from "../../schemas/failure.ts";
import type { ImageSettings } from "../../schemas/settings.ts";
import { crc32 } from "../../schemas/numbers/crc.ts";
import { type Directory, findDirectory, isOfSystem, readAt, unreadable } from "./end.ts";
import { type Archive, type Entry, over, type Reader } from "./listing.ts";
import { unsafeName, withSlashes } from "./names.ts";

const inflate = promisify<Buffer, { maxOutputLength: number }, Buffer>(inflateRaw);
const methods: Record<number, string> = {
  1: "shrink",
  6: "implode",
  9: "deflate64",
  12: "bzip2",
  14: "lzma",
  93: "zstd",
  95: "xz",
};

interface ZipEntry extends Entry {
  offset: number;
  packed: number; // bytes in the archive
  method: number;
}

/**
 * Lists the files of a zip. node-stream-zip reads the central directory; the end record is checked before it (it takes
 * the last signature for the end record, and dies on zip64 records that lie), and entries are read here, because its
 * own readers neither bound what inflates nor check the CRC where sizes follow the data (flag bit 3). One bad entry
 * costs that entry only. Throws a Failure where the archive as a whole cannot be read.
 */
export async function listZip(path: string, limits: ImageSettings): Promise<Archive<ZipEntry>> {
  const file = await open(path, "r");
  try {
    const { size: fileSize } = await file.stat();
    const directory = await findDirectory(file, fileSize);
    if (directory.entries > limits.maxEntries) {
      throw new Error(`holds ${directory.entries} entries, ${over("maxEntries", limits)}`);
    }
    const entries = withSafeNames(await readDirectory(file.fd, directory, limits));
    return { source: basename(path), entries, open: () => openZip(path, fileSize) };
  } catch (error) {
    if (isOfSystem(error)) throw error;
    throw new Failure(`Cannot read "${path}": it ${(error as Error).message}`, { cause: error });
  } finally {
    await file.close();
  }
}

/** The entries under names that point nowhere else, or with the reason why they do not. */
function withSafeNames(entries: ZipEntry[]): ZipEntry[] {
  const names = withSlashes(entries.map(({ name }) => name));
  for (const [i, entry] of entries.entries()) {
    entry.name = names[i] as string;
    const reason = entry.reason ?? unsafeName(entry.name);
    if (reason) entry.reason = reason;
  }
  return entries;
}

async function openZip(path: string, fileSize: number): Promise<Reader<ZipEntry>> {
  const file = await open(path, "r");
  return {
    async read({ offset, packed, size, method, crc }) {
      const header = offset + 30 > fileSize ? Buffer.alloc(0) : await readAt(file, offset, offset + 30).catch(unreadable);
      if (header.length < 30 || header.readUInt32LE(0) !== 0x04034b50) throw new Error("its local header is damaged");
      const from = offset + 30 + header.readUInt16LE(26) + header.readUInt16LE(28);
      const data = from + packed > fileSize ? undefined : await readAt(file, from, from + packed).catch(unreadable);
      if (data?.length !== packed) throw new Error("its data lies outside the archive");
      const bytes = method === 0 ? data : await unpack(data, size);
      if (bytes.length !== size) throw new Error(`it holds ${bytes.length} bytes where the archive declares ${size}`);
      if (crc32(bytes) !== crc) throw new Error("its CRC-32 does not match: the data is damaged");
      return bytes;
    },
    close: () => file.close(),
  };
}

async function unpack(data: Buffer, size: number): Promise<Buffer> {
  try {
    return await inflate(data, { maxOutputLength: size + 1 });
  } catch (error) {
    const tooLong = (error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE";
    throw new Error(tooLong ? `it inflates to more than the declared ${size} bytes` : "its compressed data is damaged");
  }
}

// node-stream-zip looks for the end record from the end of the file. It is shown a file that stops right behind the
// true one, so that a comment cannot pass for it.
const visible = new Map<number, number>();
(StreamZip as unknown as { setFs(custom: object): void }).setFs({
  ...fs,
  fstat: (fd: number, done: (error: Error | null, stat?: { size: number }) => void) =>
    fs.fstat(fd, (error, stat) => done(error, error ? undefined : { size: visible.get(fd) ?? stat.size })),
});

function readDirectory(fd: number, directory: Directory, limits: ImageSettings): Promise<ZipEntry[]> {
  const entries: ZipEntry[] = [];
  visible.set(fd, directory.end);
  return new Promise<ZipEntry[]>((resolve, reject) => {
    const zip = new StreamZip({ fd, chunkSize: 2 ** 17, storeEntries: false, skipEntryNameValidation: true });
    let end = directory.offset;
    zip.on("entry", (entry) => {
      const { headerOffset, fnameLen, extraLen, comLen } = entry as StreamZip.ZipEntry & HeaderLengths;
      end = headerOffset + 46 + fnameLen + extraLen + comLen;
      if (entry.isDirectory && entry.size === 0) return;
      const { name, size, compressedSize: packed, crc, offset, method } = entry;
      const reason = refusal(entry, limits);
      entries.push({ name, size, crc, offset, packed, method, ...(reason && { reason }) });
    });
    zip.on("ready", () => {
      if (end === directory.offset + directory.size) resolve(entries);
      else reject(new Error("is damaged: its directory is not as long as it says (pack it anew)"));
    });
    zip.on("error", () => reject(new Error("is damaged: its directory cannot be read")));
  }).finally(() => visible.delete(fd));
}

/** What node-stream-zip knows of an entry beyond its published types. */
interface HeaderLengths {
  headerOffset: number;
  fnameLen: number;
  extraLen: number;
  comLen: number;
}

/** Why an entry is not even read. */
function refusal(entry: StreamZip.ZipEntry, limits: ImageSettings): string | undefined {
  const { size, compressedSize, flags, method } = entry;
  const isLink = entry.verMade >> 8 === 3 && entry.attr >>> 28 === 0xa;
  if (isLink) return "a symbolic link, which is not followed";
  if (flags & 1) return "encrypted: password-protected zips are not supported, unpack it first";
  if (method !== 0 && method !== 8) return `packed with ${methods[method] ?? `method ${method}`}, which is not supported`;
  const bytes = Math.max(size, compressedSize);
  if (bytes > limits.maxEntryBytes) return `${bytes} bytes, ${over("maxEntryBytes", limits)}`;
  if (size > 2 ** 20 && size > limits.maxRatio * compressedSize) {
    return `inflates ${Math.round(size / Math.max(1, compressedSize))}-fold, ${over("maxRatio", limits)}`;
  }
  return undefined;
}
