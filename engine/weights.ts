import { createHash } from "node:crypto";

/** Named parameters of a network, row-major, e.g. "blocks.0.attention.qkv.kernel". */
export type Weights = Record<string, { shape: number[]; data: Float32Array }>;

/** How many numbers the weights hold. */
export function countWeights(weights: Weights): number {
  return Object.values(weights).reduce((sum, { data }) => sum + data.length, 0);
}

/**
 * sha256 (hex) over names, shapes and float32 bits, in name order: the identity of a network's weights.
 *
 * @example
 * import { hashWeights } from "onestep/engine/weights";
 * const weights = { bias: { shape: [2], data: Float32Array.of(1, 2) } };
 * assert.equal(hashWeights(weights), hashWeights(structuredClone(weights)));
 * assert.notEqual(hashWeights(weights), hashWeights({ bias: { shape: [2, 1], data: Float32Array.of(1, 2) } }));
 */
export function hashWeights(weights: Weights): string {
  const hash = createHash("sha256");
  for (const name of Object.keys(weights).sort()) {
    const { shape, data } = weights[name] as Weights[string];
    hash.update(`${JSON.stringify([name, shape])}\n`);
    hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  return hash.digest("hex");
}

/** A deep copy, e.g. the start of an exponential moving average. */
export function copyWeights(weights: Weights): Weights {
  const copies = Object.entries(weights).map(([name, { shape, data }]) => [name, { shape: [...shape], data: data.slice() }]);
  return Object.fromEntries(copies);
}

/**
 * Zeros of the same names and shapes, e.g. the moments of an optimiser before its first step.
 *
 * @example
 * import { zerosLike } from "onestep/engine/weights";
 * const weights = { bias: { shape: [2], data: Float32Array.of(1, 2) } };
 * assert.deepEqual(zerosLike(weights).bias?.data, Float32Array.of(0, 0));
 */
export function zerosLike(weights: Weights): Weights {
  const zeros = Object.entries(weights).map(([name, { shape, data }]) => [
    name,
    { shape: [...shape], data: new Float32Array(data.length) },
  ]);
  return Object.fromEntries(zeros);
}

/**
 * In words, each name or shape of `found` that is not as in `expected`.
 *
 * @example
 * import { layoutDifferences } from "onestep/engine/weights";
 * const [one, two] = [1, 2].map((length) => ({ bias: { shape: [length], data: new Float32Array(length) } }));
 * assert.deepEqual(layoutDifferences(one!, two!), ['"bias" is [2] instead of [1]']);
 */
export function layoutDifferences(expected: Weights, found: Weights): string[] {
  const problems: string[] = [];
  for (const [name, { shape }] of Object.entries(expected)) {
    const other = found[name];
    if (!other) problems.push(`"${name}" is missing`);
    else if (other.shape.join() !== shape.join()) {
      problems.push(`"${name}" is [${other.shape.join(", ")}] instead of [${shape.join(", ")}]`);
    }
  }
  for (const name of Object.keys(found)) if (!expected[name]) problems.push(`"${name}" is unknown`);
  return problems;
}

/** Throws unless `found` has exactly the names and shapes of `expected`; the message lists the first differences. */
export function checkLayout(expected: Weights, found: Weights, place: string): void {
  const problems = layoutDifferences(expected, found);
  if (problems.length > 0) {
    const more = problems.length > 3 ? ` and ${problems.length - 3} more` : "";
    throw new Error(`Weights from ${place} do not fit the network: ${problems.slice(0, 3).join(", ")}${more}`);
  }
}
