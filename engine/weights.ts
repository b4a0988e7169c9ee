import { createHash, type Hash } from "node:crypto";

/** Named parameters of a network, row-major, e.g. "blocks.0.attention.qkv.kernel". */
export type Weights = Record<string, { shape: number[]; data: Float32Array }>;

/** A frozen tensor that stays in its file until somebody asks for it: row-major, little-endian, as safetensors files hold it. */
export interface FileTensor {
  shape: number[];
  /** The safetensors name of its elements' type: "F32", "F16", "BF16" and others. */
  dtype: string;
  /** The file's absolute path, with no links in it. */
  file: string;
  /** Of its first byte in the file. */
  offset: number;
  byteLength: number;
  /** Throws an Error that names the file where it is gone or has changed since it was opened. */
  check: () => Promise<void>;
  /** Its elements as float32. Throws an Error that names file and tensor where the file cannot be read or has changed. */
  read: () => Promise<Float32Array>;
}

/** Frozen weights: each tensor in memory or in a file. */
export type FrozenWeights = Record<string, Weights[string] | FileTensor>;

/** Whatever has named shapes: weights in memory or in files, or what a network declares. */
export type Shapes = Record<string, { shape: readonly number[] }>;

/** Whether a frozen tensor lies in a file. */
export function isInFile(tensor: FrozenWeights[string]): tensor is FileTensor {
  return "file" in tensor;
}

/** The same weights in memory: tensors in files are read. */
export async function inMemory(weights: FrozenWeights): Promise<Weights> {
  const read: Weights = {};
  for (const [name, tensor] of Object.entries(weights)) {
    read[name] = isInFile(tensor) ? { shape: [...tensor.shape], data: await tensor.read() } : tensor;
  }
  return read;
}

/**
 * How many elements a shape has.
 *
 * @example
 * import { elements } from "./weights.ts";
 * assert.equal(elements([4, 3, 2]), 24);
 */
export const elements = (shape: readonly number[]): number => shape.reduce((product, side) => product * side, 1);

/**
 * How many numbers the weights hold.
 *
 * @example
 * import { countWeights } from "onestep/engine";
 * assert.equal(countWeights({ kernel: { shape: [3, 4] }, bias: { shape: [4] } }), 16);
 */
export function countWeights(weights: Shapes): number {
  return Object.values(weights).reduce((sum, { shape }) => sum + elements(shape), 0);
}

/**
 * sha256 (hex) over names, shapes and float32 bits, in name order: the identity of a network's weights.
 *
 * @example
 * import { hashWeights } from "onestep/engine";
 * const weights = { bias: { shape: [2], data: Float32Array.of(1, 2) } };
 * assert.equal(hashWeights(weights), hashWeights(structuredClone(weights)));
 * assert.notEqual(hashWeights(weights), hashWeights({ bias: { shape: [2, 1], data: Float32Array.of(1, 2) } }));
 */
export function hashWeights(weights: Weights): string {
  const hash = startHash();
  for (const name of Object.keys(weights).sort()) hash.add(name, weights[name] as Weights[string]);
  return hash.digest();
}

/**
 * Begins {@link hashWeights} of tensors that come one after the other, in the order of their names.
 *
 * @example
 * import { hashWeights } from "onestep/engine";
 * import { startHash } from "./weights.ts";
 * const bias = { shape: [2], data: Float32Array.of(1, 2) };
 * const hash = startHash();
 * hash.add("bias", bias);
 * assert.equal(hash.digest(), hashWeights({ bias }));
 */
export function startHash() {
  const hash = createHash("sha256");
  return { add: (name: string, tensor: Weights[string]): void => addTensor(hash, name, tensor), digest: (): string => hash.digest("hex") };
}
export type WeightsHash = ReturnType<typeof startHash>;

/**
 * {@link hashWeights} of weights that may lie in files, of which one tensor at a time is in memory.
 *
 * @example
 * import { hashWeights } from "onestep/engine";
 * import { hashFrozen } from "./weights.ts";
 * const weights = { bias: { shape: [2], data: Float32Array.of(1, 2) } };
 * assert.equal(await hashFrozen(weights), hashWeights(weights));
 */
export async function hashFrozen(weights: FrozenWeights): Promise<string> {
  const hash = startHash();
  for (const name of Object.keys(weights).sort()) {
    const tensor = weights[name] as FrozenWeights[string];
    hash.add(name, { shape: tensor.shape, data: isInFile(tensor) ? await tensor.read() : tensor.data });
  }
  return hash.digest();
}

/** Bytes given to a hash at once: it takes less than 2 GiB. */
const HASHED = 2 ** 28;

function addTensor(hash: Hash, name: string, { shape, data }: Weights[string]): void {
  hash.update(`${JSON.stringify([name, shape])}\n`);
  for (let at = 0; at < data.byteLength; at += HASHED) {
    hash.update(new Uint8Array(data.buffer, data.byteOffset + at, Math.min(HASHED, data.byteLength - at)));
  }
}

/**
 * A deep copy, e.g. the start of an exponential moving average.
 *
 * @example
 * import { copyWeights } from "onestep/engine";
 * const weights = { bias: { shape: [2], data: Float32Array.of(1, 2) } };
 * const copy = copyWeights(weights);
 * copy.bias?.data.fill(0);
 * assert.deepEqual(weights.bias.data, Float32Array.of(1, 2));
 */
export function copyWeights(weights: Weights): Weights {
  const copies = Object.entries(weights).map(([name, { shape, data }]) => [name, { shape: [...shape], data: data.slice() }]);
  return Object.fromEntries(copies);
}

/**
 * A tensor whose elements `make` makes, once, when they are first read: who asks for the shape alone waits for nothing and takes no
 * memory.
 *
 * @example
 * import { madeWhenRead } from "./weights.ts";
 * const tensor = madeWhenRead([2, 2], (length) => new Float32Array(length).fill(1));
 * assert.deepEqual(tensor.data, Float32Array.of(1, 1, 1, 1));
 */
export function madeWhenRead(shape: number[], make: (length: number) => Float32Array): Weights[string] {
  let made: Float32Array | undefined;
  return {
    shape,
    get data() {
      made ??= make(elements(shape));
      return made;
    },
    set data(data) {
      made = data;
    },
  };
}

/**
 * Zeros of the same names and shapes, e.g. the moments of an optimiser before its first step; made when they are read.
 *
 * @example
 * import { zerosLike } from "onestep/engine";
 * const weights = { bias: { shape: [2], data: Float32Array.of(1, 2) } };
 * assert.deepEqual(zerosLike(weights).bias?.data, Float32Array.of(0, 0));
 */
export function zerosLike(weights: Shapes): Weights {
  const zeros = Object.entries(weights).map(([name, { shape }]) => [name, madeWhenRead([...shape], (length) => new Float32Array(length))]);
  return Object.fromEntries(zeros);
}

/**
 * Names and shapes as weights that have no elements: what is planned with may be larger than the memory.
 *
 * @example
 * import { shapesAlone } from "./weights.ts";
 * const { kernel } = shapesAlone({ kernel: { shape: [100_000, 100_000] } });
 * assert.equal(kernel?.data.length, 0);
 */
export function shapesAlone(shapes: Shapes): Weights {
  const data = new Float32Array(0);
  return Object.fromEntries(Object.entries(shapes).map(([name, { shape }]) => [name, { shape: [...shape], data }]));
}

/**
 * In words, each name or shape of `found` that is not as in `expected`.
 *
 * @example
 * import { layoutDifferences } from "./weights.ts";
 * const [one, two] = [1, 2].map((length) => ({ bias: { shape: [length], data: new Float32Array(length) } }));
 * assert.deepEqual(layoutDifferences(one!, two!), ['"bias" is [2] instead of [1]']);
 */
export function layoutDifferences(expected: Shapes, found: Shapes): string[] {
  const problems: string[] = [];
  for (const [name, { shape }] of Object.entries(expected)) {
    const other = Object.hasOwn(found, name) ? found[name] : undefined;
    if (!other) problems.push(`"${name}" is missing`);
    else if (other.shape.join() !== shape.join()) {
      problems.push(`"${name}" is [${other.shape.join(", ")}] instead of [${shape.join(", ")}]`);
    }
  }
  for (const name of Object.keys(found)) if (!Object.hasOwn(expected, name)) problems.push(`"${name}" is unknown`);
  return problems;
}
