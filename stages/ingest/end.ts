import type { FileHandle } from "node:fs/promises";

/** Where a zip's central directory lies, believed only after every number was held against the file. */
export interface Directory {
  entries: number;
  offset: number;
  size: number;
  end: number; // one past the fixed part of the end record, where a comment would start
}

const endSize = 22;
const longestComment = 0xffff;

/**
 * Finds the end record of a zip (APPNOTE 4.3.16, zip64: 4.3.14-15) and checks it, so that nothing larger than the file
 * is allocated for what it claims. The true record is the one whose comment reaches the end of the file: a comment may
 * hold the bytes of another. Throws an Error whose message completes "it ...".
 */
export async function findDirectory(file: FileHandle, fileSize: number): Promise<Directory> {
  if (fileSize === 0) throw new Error("is empty (0 bytes)");
  const tail = await readAt(file, Math.max(0, fileSize - endSize - longestComment), fileSize);
  const start = fileSize - tail.length;
  let at = tail.length - endSize;
  while (at >= 0 && !(tail.readUInt32LE(at) === 0x06054b50 && at + endSize + tail.readUInt16LE(at + 20) === tail.length)) at--;
  if (at < 0) {
    const isZip = (await readAt(file, 0, Math.min(4, fileSize))).toString("latin1") === "PK\x03\x04";
    throw new Error(isZip ? "is cut off: a zip's end record is missing" : "is not a zip file; name a zip, or a folder of images");
  }
  let entries = tail.readUInt16LE(at + 10);
  let here = tail.readUInt16LE(at + 8); // of these, in this part of the archive
  let size = tail.readUInt32LE(at + 12);
  let offset = tail.readUInt32LE(at + 16);
  let last = start + at; // the directory ends before this
  if (entries === 0xffff || size === 0xffffffff || offset === 0xffffffff) {
    const locator = await readAt(file, Math.max(0, last - 20), last);
    if (locator.length < 20 || locator.readUInt32LE(0) !== 0x07064b50) throw new Error("is damaged: its zip64 locator is missing");
    last = checked(locator.readBigUInt64LE(8), start + at - 56);
    const record = await readAt(file, last, last + 56);
    if (record.length < 56 || record.readUInt32LE(0) !== 0x06064b50) throw new Error("is damaged: its zip64 end record is missing");
    // node-stream-zip searches for the record: nothing behind it may look like one.
    if ((await readAt(file, last + 1, start + at + endSize)).includes("PK\x06\x06", 0, "latin1"))
      throw new Error("is damaged: it has two zip64 end records");
    entries = checked(record.readBigUInt64LE(32), fileSize);
    here = checked(record.readBigUInt64LE(24), fileSize);
    size = checked(record.readBigUInt64LE(40), fileSize);
    offset = checked(record.readBigUInt64LE(48), fileSize);
  }
  if (here !== entries) throw new Error("is one part of a split archive, which is not supported");
  if (offset + size > last || entries * 46 > size) throw new Error("is damaged: its directory does not fit into the file");
  return { entries, offset, size, end: start + at + endSize };
}

function checked(value: bigint, limit: number): number {
  if (value > BigInt(Math.max(0, limit))) throw new Error("is damaged: its zip64 end record points outside the file");
  return Number(value);
}

/** The bytes of [from, to), fewer where the file ends earlier. */
export async function readAt(file: FileHandle, from: number, to: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(to - from);
  let done = 0;
  while (done < buffer.length) {
    const { bytesRead } = await file.read(buffer, done, buffer.length - done, from + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return buffer.subarray(0, done);
}

/** Throws what a file that cannot be read is rejected with: no path of the machine. The system's own trouble stays as it is. */
export function unreadable(error: unknown): never {
  const { code = "" } = error as NodeJS.ErrnoException;
  if (!isOfSystem(error) || ["EMFILE", "ENFILE", "ENOMEM"].includes(code)) throw error;
  throw new Error(`it cannot be read (${code})`, { cause: error });
}

/** Whether an error is the system's, and says nothing of what is in a file. */
export function isOfSystem(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).errno !== undefined;
}
