/** A file's lines, one piece of the file in memory at a time. */
import type { FileBuffer } from "./buffers.ts";

const pieceBytes = 2 ** 20;
const mostLineBytes = 2 ** 27; // a shard's failures take half of this at most

/** A line without its end, and where it ends; `bytes` is undefined where it is too long to hold. */
export interface Line {
  bytes?: Buffer;
  end: number;
  /** False of a last line that lacks its end. */
  whole: boolean;
}

/** The lines of a range of a file. */
export async function* linesOf(file: Pick<FileBuffer, "fill">, { from, to }: { from: number; to: number }): AsyncGenerator<Line> {
  let held: Buffer[] = []; // of a line that began in an earlier piece
  let length = 0;
  const finished = (last: Buffer): Buffer | undefined => {
    const whole = held.length > 0 ? [...held, last] : [last];
    const bytes = length + last.length > mostLineBytes ? undefined : whole.length > 1 ? Buffer.concat(whole) : last;
    [held, length] = [[], 0];
    return bytes;
  };
  for (let at = from; at < to; ) {
    const room = Math.min(pieceBytes, to - at);
    const piece = Buffer.allocUnsafe(room);
    await file.fill(piece, at);
    let start = 0;
    for (let end = piece.indexOf(10); end >= 0; end = piece.indexOf(10, start)) {
      yield { bytes: finished(piece.subarray(start, end)), end: at + end + 1, whole: true };
      start = end + 1;
    }
    const rest = piece.subarray(start);
    if (rest.length > 0 && length <= mostLineBytes) held.push(rest);
    else if (length > mostLineBytes) held = [];
    length += rest.length;
    at += room;
  }
  if (length > 0) yield { bytes: finished(Buffer.alloc(0)), end: to, whole: false };
}
