import { centreOf, plainProducts, prepareRows, type Products, type Rows, slackOf, squaredDistance } from "./rows.ts";

/** The k nearest rows of each of `count` rows, ascending: [count, k]. */
export interface Nearest {
  k: number;
  count: number;
  index: Int32Array;
  squared: Float64Array; // exact squared distances
}

/** How a set of fakes lies among reals. */
export interface Coverage {
  precision: number;
  recall: number;
  /** The nearest reals of each fake. */
  nearest: Nearest;
}

const BLOCK = 1024; // rows of one call of `products`

/**
 * Improved precision and recall (Kynkäänniemi et al. 2019, eq. 1 and 2). Precision: the share of fakes that lie inside
 * the ball of at least one real, whose radius is that real's distance to its k-th nearest other real; recall is the
 * same with the roles exchanged.
 *
 * `real` and `fake` are features [rows, dimension]; both need more than k rows. Time grows with the square of the rows.
 */
export async function precisionRecall({
  real,
  fake,
  dimension,
  k = 3,
  products = plainProducts(dimension),
}: {
  real: Float32Array;
  fake: Float32Array;
  dimension: number;
  k?: number;
  products?: Products;
}): Promise<{ precision: number; recall: number }> {
  const centre = centreOf(real, dimension);
  const [reals, fakes] = [real, fake].map((features) => prepareRows({ features, dimension, centre })) as [Rows, Rows];
  const radii = async (rows: Rows) => radiiOf(await nearestOthers({ rows, k, products }), k);
  const options = { reals, fakes, k, products, realRadii: await radii(reals), fakeRadii: await radii(fakes) };
  const { precision, recall } = await coverage(options);
  return { precision, recall };
}

/** Squared distance [rows] of every row to its k-th nearest. */
export function radiiOf({ squared, count, k: width }: Nearest, k = width): Float64Array {
  return Float64Array.from({ length: count }, (_, row) => squared[row * width + k - 1]!);
}

/** The k nearest other rows of every row. Throws a RangeError where there are no k others. */
export async function nearestOthers({ rows, k, products }: { rows: Rows; k: number; products: Products }): Promise<Nearest> {
  const { count, squares, dimension } = rows;
  if (count <= k) throw new RangeError(`${count} rows have no ${k}-th nearest neighbour: at least ${k + 1} are needed`);
  const { nearest, offer, limits } = openNearest(count, k);
  const slack = slackOf(dimension);
  for await (const { from, to, block, start, end } of blocks(rows, rows, products, true)) {
    const width = end - start;
    for (let i = from; i < to; i++) {
      const row = (i - from) * width - start;
      for (let j = Math.max(start, i + 1); j < end; j++) {
        const scale = squares[i]! + squares[j]!;
        const least = scale - 2 * block[row + j]! - slack * scale;
        if (least >= limits[i]! && least >= limits[j]!) continue;
        const squared = squaredDistance(rows, i, rows, j);
        offer(i, j, squared);
        offer(j, i, squared);
      }
    }
  }
  return nearest;
}

/** Precision and recall from the squared radii of both sides; float32 products decide only what they decide safely. */
export async function coverage(options: {
  reals: Rows;
  fakes: Rows;
  realRadii: Float64Array;
  fakeRadii: Float64Array;
  k: number;
  products: Products;
}): Promise<Coverage> {
  const { reals, fakes, realRadii, fakeRadii, k, products } = options;
  const { nearest, offer, limits } = openNearest(fakes.count, Math.min(k, reals.count));
  const fakeInside = new Uint8Array(fakes.count);
  const realInside = new Uint8Array(reals.count);
  const slack = slackOf(reals.dimension);
  for await (const { from, to, block, start, end } of blocks(reals, fakes, products, false)) {
    const width = end - start;
    for (let i = from; i < to; i++) {
      const row = (i - from) * width - start;
      const square = reals.squares[i]!;
      const radius = realRadii[i]!;
      for (let j = start; j < end; j++) {
        const scale = square + fakes.squares[j]!;
        const least = scale - 2 * block[row + j]! - slack * scale;
        const isDecided = (least > radius || fakeInside[j] === 1) && (least > fakeRadii[j]! || realInside[i] === 1);
        if (isDecided && least >= limits[j]!) continue;
        const squared = squaredDistance(reals, i, fakes, j);
        if (squared <= radius) fakeInside[j] = 1;
        if (squared <= fakeRadii[j]!) realInside[i] = 1;
        offer(j, i, squared);
      }
    }
  }
  return { precision: share(fakeInside), recall: share(realInside), nearest };
}

/** Lists of nearest rows that take offers; `limits` is what an offer must stay below. */
function openNearest(count: number, k: number) {
  const squared = new Float64Array(count * k).fill(Number.POSITIVE_INFINITY); // ascending in each row
  const index = new Int32Array(count * k).fill(-1);
  const limits = new Float64Array(count).fill(Number.POSITIVE_INFINITY);
  const offer = (row: number, other: number, distance: number): void => {
    if (!(distance < limits[row]!)) return;
    let at = row * k + k - 1;
    for (; at > row * k && squared[at - 1]! > distance; at--) {
      squared[at] = squared[at - 1]!;
      index[at] = index[at - 1]!;
    }
    squared[at] = distance;
    index[at] = other;
    limits[row] = squared[row * k + k - 1]!;
  };
  const nearest: Nearest = { k, count, index, squared };
  return { nearest, offer, limits };
}

/** Products of rows [from, to) of a with rows [start, end) of b, block after block; `upper` leaves out those below the diagonal. */
async function* blocks(a: Rows, b: Rows, products: Products, upper: boolean) {
  const part = ({ centred, dimension }: Rows, from: number, to: number) => centred.subarray(from * dimension, to * dimension);
  for (let from = 0; from < a.count; from += BLOCK) {
    const to = Math.min(from + BLOCK, a.count);
    for (let start = upper ? from : 0; start < b.count; start += BLOCK) {
      const end = Math.min(start + BLOCK, b.count);
      yield { from, to, start, end, block: await products(part(a, from, to), part(b, start, end)) };
    }
  }
}

function share(flags: Uint8Array): number {
  return flags.reduce((sum, flag) => sum + flag, 0) / flags.length;
}
