import { plainProducts, type Products } from "./rows.ts";

const BLOCK = 1024; // rows of one call of `products`
const MOST = 5000; // rows of a set beyond which an even selection stands for it: the error is then below 1 %

/**
 * Kernel distance of two sets of features [rows, dimension]: the unbiased squared maximum mean discrepancy under the
 * kernel (x.y / dimension + 1)^3 (KID of Bińkowski et al. 2018). Unlike the Fréchet distance it does not grow where samples
 * are few: equal distributions give 0 on average, so it may be slightly negative. Time grows with the square of the rows.
 */
export async function kernelDistance(options: {
  first: Float32Array;
  second: Float32Array;
  dimension: number;
  products?: Products;
}): Promise<number> {
  const { dimension, products = plainProducts(dimension) } = options;
  const [first, second] = [options.first, options.second].map((features) => selection(features, dimension)) as [Float32Array, Float32Array];
  const kernel = (a: Float32Array, b: Float32Array) => meanKernel({ a, b, dimension, products });
  return (await kernel(first, first)) + (await kernel(second, second)) - 2 * (await kernel(first, second));
}

/** Mean of the kernel over all pairs; of a set with itself, over those of two different rows. */
async function meanKernel(options: { a: Float32Array; b: Float32Array; dimension: number; products: Products }): Promise<number> {
  const { a, b, dimension, products } = options;
  const isSame = a === b;
  const [rowsA, rowsB] = [a.length / dimension, b.length / dimension];
  let total = 0;
  for (let from = 0; from < rowsA; from += BLOCK) {
    const to = Math.min(from + BLOCK, rowsA);
    for (let start = 0; start < rowsB; start += BLOCK) {
      const end = Math.min(start + BLOCK, rowsB);
      const block = await products(a.subarray(from * dimension, to * dimension), b.subarray(start * dimension, end * dimension));
      for (let i = from, at = 0; i < to; i++) {
        let sum = 0; // of a row: fewer digits are lost than in one sum over millions
        for (let j = start; j < end; j++, at++) {
          if (isSame && i === j) continue;
          const base = block[at]! / dimension + 1;
          sum += base * base * base; // ten times as fast as a power
        }
        total += sum;
      }
    }
  }
  return total / (rowsA * (isSame ? rowsB - 1 : rowsB));
}

function selection(features: Float32Array, dimension: number): Float32Array {
  const rows = features.length / dimension;
  if (rows <= MOST) return features;
  const result = new Float32Array(MOST * dimension);
  for (let i = 0; i < MOST; i++) {
    const row = Math.floor((i * rows) / MOST);
    result.set(features.subarray(row * dimension, (row + 1) * dimension), i * dimension);
  }
  return result;
}
