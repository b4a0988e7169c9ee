/**
 * TensorBoard's event files: scalars and pictures by step, in RUN/tensorboard. A file is a sequence of TFRecords (length,
 * its masked CRC-32C, bytes, their masked CRC-32C), each a protobuf message `Event` (tensorflow/core/util/event.proto).
 */
import { appendFile, mkdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { namesIn, removeTemporaries, writeAtomic } from "../../store/places/atomic.ts";
import { double, fieldsOf, float, integer, message, text } from "../../engine/protobuf.ts";
import { crc32c } from "../../schemas/numbers/crc.ts";

export interface EventFile {
  scalars: (step: number, values: Record<string, number>) => void;
  /** A PNG. */
  picture: (step: number, image: { tag: string; png: Uint8Array; width: number; height: number }) => void;
  /** Writes what was added since; answers true, so that a failed flush can be told from one. */
  flush: () => Promise<true>;
}

/**
 * Opens the event file of a run that goes on after step `from`: events of later steps, and a record torn by a kill, are
 * cut off, so that a run has one file with one event a step however often it was killed. `clock` answers seconds.
 */
export async function openEventFile(options: { folder: string; from: number; clock?: () => number }): Promise<EventFile> {
  const { folder, from, clock = () => Date.now() / 1000 } = options;
  await mkdir(folder, { recursive: true });
  await removeTemporaries(folder, { all: true });
  const [found, ...others] = (await namesIn(folder)).filter((name) => name.startsWith("events.out.tfevents."));
  for (const name of found && from === 0 ? [found, ...others] : others) await rm(join(folder, name), { force: true });
  const isKept = found !== undefined && from > 0;
  const path = join(folder, isKept ? found : `events.out.tfevents.${Math.floor(clock()).toString().padStart(10, "0")}.onestep`);
  if (isKept) {
    const kept = recordsOf(await readFile(path)).filter((event) => stepOf(event) <= from);
    await writeAtomic(path, Buffer.concat(kept.map(record)));
  } else {
    await writeAtomic(path, record(Buffer.concat([double(1, clock()), text(3, "brain.Event:2")])));
  }
  let pending: Uint8Array[] = [];
  const add = (step: number, values: Uint8Array[]): void => {
    const summary = Buffer.concat(values.map((value) => message(1, value)));
    pending.push(record(Buffer.concat([double(1, clock()), integer(2, step), message(5, summary)])));
  };
  return {
    scalars: (step, values) =>
      add(
        step,
        Object.entries(values).map(([tag, value]) => Buffer.concat([text(1, tag), float(2, value)])),
      ),
    picture: (step, { tag, png, width, height }) => {
      const image = Buffer.concat([integer(1, height), integer(2, width), integer(3, 3), message(4, png)]);
      add(step, [Buffer.concat([text(1, tag), message(4, image)])]);
    },
    flush: async () => {
      const bytes = Buffer.concat(pending);
      pending = [];
      if (bytes.length > 0) await appendFile(path, bytes);
      return true;
    },
  };
}

/** CRC-32C as TFRecords store it: rotated and shifted, because a CRC of bytes that hold their own CRC is no check. */
export function maskedCrc32c(bytes: Uint8Array): number {
  const crc = crc32c(bytes);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

/** A TFRecord. */
export function record(data: Uint8Array): Uint8Array {
  const frame = new Uint8Array(data.length + 16);
  const view = new DataView(frame.buffer);
  view.setBigUint64(0, BigInt(data.length), true);
  view.setUint32(8, maskedCrc32c(frame.subarray(0, 8)), true);
  frame.set(data, 12);
  view.setUint32(12 + data.length, maskedCrc32c(data), true);
  return frame;
}

/** The sound records at the beginning of a file; whatever follows the first torn or damaged one is left out. */
export function recordsOf(file: Uint8Array): Uint8Array[] {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const records: Uint8Array[] = [];
  for (let at = 0; at + 16 <= file.length; ) {
    if (view.getUint32(at + 8, true) !== maskedCrc32c(file.subarray(at, at + 8))) break;
    const end = at + 12 + Number(view.getBigUint64(at, true));
    if (end + 4 > file.length) break;
    const data = file.subarray(at + 12, end);
    if (view.getUint32(end, true) !== maskedCrc32c(data)) break;
    records.push(data);
    at = end + 4;
  }
  return records;
}

/** The step of an Event; 0 where it has none. */
const stepOf = (event: Uint8Array): number => Number(fieldsOf(event).find(({ field }) => field === 2)?.value ?? 0);
