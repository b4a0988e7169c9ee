/**
 * The head of a safetensors file (huggingface/safetensors): a little-endian u64, the length of the JSON header that
 * follows, which names dtype, shape and byte range of each tensor; then come the tensors' bytes.
 */
import { DTYPES, type Dtype, isDtype } from "./dtypes.ts";

/** Where a tensor lies in a file, from the file's first byte. */
export interface Range {
  shape: number[];
  dtype: Dtype;
  offset: number;
  byteLength: number;
}

export interface Header {
  /** In the order of their bytes. */
  tensors: [name: string, Range][];
  metadata: Record<string, string>;
}

/** Bytes before the JSON. */
export const PREFIX = 8;

/** As in the format's own library: no honest header is longer, and a hostile one shall not fill the memory. */
const LONGEST = 100_000_000;

/** Makes an Error that names the file out of what is wrong with it. */
export type Refuse = (reason: string) => Error;

/** The length of the JSON header, from the first bytes of a file of `size` bytes. */
export function headerLength(prefix: Uint8Array, size: number, refuse: Refuse): number {
  if (size < PREFIX) throw refuse(`${size} bytes are too few for a header`);
  const length = Number(new DataView(prefix.buffer, prefix.byteOffset, PREFIX).getBigUint64(0, true));
  if (PREFIX + length > size) throw refuse(`its header needs ${length} bytes but the file ends after ${size}`);
  if (length > LONGEST) throw refuse(`its header has ${length} bytes, more than the ${LONGEST} that the format allows`);
  return length;
}

/**
 * Reads the JSON header of a file of `size` bytes. Throws what `refuse` makes where the file is torn or malformed: ranges
 * that overlap, leave gaps or do not match the shape, an unknown dtype, bytes that are missing or left over.
 */
export function parseHeader(json: Uint8Array, size: number, refuse: Refuse): Header {
  const { __metadata__, ...entries } = parseObject(json, refuse);
  const start = PREFIX + json.length;
  const tensors: Header["tensors"] = [];
  let covered = 0;
  for (const [name, entry] of Object.entries(entries).sort(byBegin)) {
    const { dtype, shape, data_offsets: range } = (entry ?? {}) as Partial<Entry>;
    if (!isDtype(dtype)) throw refuse(`tensor "${name}" has dtype ${dtype}, expected one of ${Object.keys(DTYPES).join(", ")}`);
    const wellFormed = Array.isArray(shape) && shape.every((side) => Number.isSafeInteger(side) && side >= 0);
    if (!wellFormed || !Array.isArray(range)) throw refuse(`tensor "${name}" has no valid shape or data_offsets`);
    const [begin, end] = range;
    const byteLength = shape.reduce((product, side) => product * side, DTYPES[dtype].bytes);
    if (begin !== covered || end - begin !== byteLength) {
      throw refuse(`tensor "${name}" of shape [${shape.join(", ")}] has bytes ${begin}-${end}, expected ${byteLength} from ${covered}`);
    }
    if (start + end > size) throw refuse(`tensor "${name}" is cut off: the file ends after ${size} bytes`);
    covered = end;
    tensors.push([name, { shape, dtype, offset: start + begin, byteLength }]);
  }
  if (start + covered !== size) throw refuse(`${size - start - covered} bytes follow the last tensor`);
  return { tensors, metadata: (__metadata__ as Record<string, string> | undefined) ?? {} };
}

/** The head of a file whose tensors follow in the order given, padded so that their bytes start at a multiple of 8. */
export function encodeHeader(
  tensors: readonly (readonly [name: string, { shape: readonly number[]; dtype: Dtype; byteLength: number }])[],
  metadata: Record<string, string>,
): Uint8Array {
  const header: Record<string, unknown> = Object.create(null); // a tensor may have the name of what every object has
  if (Object.keys(metadata).length > 0) header.__metadata__ = metadata;
  let end = 0;
  for (const [name, { shape, dtype, byteLength }] of tensors) {
    header[name] = { dtype, shape, data_offsets: [end, end + byteLength] };
    end += byteLength;
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  const length = Math.ceil(json.length / 8) * 8;
  const head = new Uint8Array(PREFIX + length).fill(0x20, PREFIX + json.length);
  new DataView(head.buffer).setBigUint64(0, BigInt(length), true);
  head.set(json, PREFIX);
  return head;
}

interface Entry {
  dtype: unknown;
  shape: number[];
  data_offsets: [number, number];
}

function parseObject(bytes: Uint8Array, refuse: Refuse): Record<string, unknown> {
  try {
    const header: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    if (header !== null && typeof header === "object" && !Array.isArray(header)) return header as Record<string, unknown>;
  } catch {
    // Reported below, like a header of another type.
  }
  throw refuse("its header is not a JSON object");
}

/** By first byte; an empty tensor shares its first byte with the next one and goes before it. */
function byBegin([, a]: [string, unknown], [, b]: [string, unknown]): number {
  const [first, second] = [(a as Entry | null)?.data_offsets, (b as Entry | null)?.data_offsets];
  return (first?.[0] ?? 0) - (second?.[0] ?? 0) || (first?.[1] ?? 0) - (second?.[1] ?? 0);
}
