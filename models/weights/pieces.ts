/** Safetensors files as pieces to write one after the other, so that no file is ever whole in memory. */
import { elements, type Weights } from "../../engine/weights.ts";
import { toHalf } from "../../schemas/numbers/half.ts";
import { DTYPES, type Dtype } from "./dtypes.ts";
import { encodeHeader } from "./header.ts";

/** A tensor to write: its bytes as the file shall hold them, little-endian, from the start each time they are asked for. */
export interface TensorSource<Pieces = Iterable<Uint8Array> | AsyncIterable<Uint8Array>> {
  shape: readonly number[];
  dtype: Dtype;
  pieces: () => Pieces;
}

/** Elements a piece. */
const PIECE = 2 ** 21;

/** Weights in memory as sources; F16 rounds to nearest. Throws where a tensor's data and shape disagree. */
export function sourcesOf(weights: Weights, dtype: "F32" | "F16" = "F32"): Record<string, TensorSource<Iterable<Uint8Array>>> {
  const source = ([name, { shape, data }]: [string, Weights[string]]) => {
    if (data.length !== elements(shape)) {
      throw new Error(`Cannot encode tensor "${name}": ${data.length} values do not fill shape [${shape.join(", ")}]`);
    }
    function* pieces(): Generator<Uint8Array> {
      for (let at = 0; at < data.length; at += PIECE) {
        const part = data.subarray(at, at + PIECE);
        const stored = dtype === "F16" ? toHalf(part) : part;
        yield new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength);
      }
    }
    return [name, { shape, dtype, pieces }] as const;
  };
  return Object.fromEntries(Object.entries(weights).map(source));
}

/** The tensors in the order they are written, which is that of their names, and the bytes in front of them. */
export function layOut<S extends TensorSource>(
  tensors: Record<string, S>,
  metadata: Record<string, string>,
): { head: Uint8Array; ordered: [name: string, source: S & { byteLength: number }][]; byteLength: number } {
  const ordered = Object.keys(tensors)
    .sort()
    .map((name): [string, S & { byteLength: number }] => {
      const source = tensors[name] as S;
      return [name, { ...source, byteLength: elements(source.shape) * DTYPES[source.dtype].bytes }];
    });
  const head = encodeHeader(ordered, metadata);
  return { head, ordered, byteLength: ordered.reduce((sum, [, { byteLength }]) => sum + byteLength, head.length) };
}

/**
 * The bytes of a safetensors file with these tensors, in pieces: for `writeAtomic`, or for a hash. Equal tensors give equal
 * bytes, and each iteration starts anew. Throws an Error that names the tensor whose source gives more or fewer bytes than its shape says.
 */
export function safetensorsPieces(options: {
  tensors: Record<string, TensorSource>;
  metadata?: Record<string, string>;
}): AsyncIterable<Uint8Array> {
  const { head, ordered } = layOut(options.tensors, options.metadata ?? {});
  return {
    async *[Symbol.asyncIterator]() {
      yield head;
      for (const [name, { shape, byteLength, pieces }] of ordered) {
        let given = 0;
        for await (const piece of pieces()) {
          given += piece.byteLength;
          if (given > byteLength) break;
          yield piece;
        }
        if (given === byteLength) continue;
        const more = given > byteLength ? "at least " : "";
        throw new Error(
          `Cannot write tensor "${name}" of shape [${shape.join(", ")}]: its source gave ${more}${given} bytes instead of ${byteLength}`,
        );
      }
    },
  };
}
