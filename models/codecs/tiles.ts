/** Decoding piece by piece: a decoder's memory grows with the picture, and its attention with the square of it. */
import { type Tensor, tf } from "../../engine/tfjs.ts";
import { elements, type Weights } from "../../engine/weights.ts";
import { badUsage } from "../../schemas/failure.ts";

/** Pixels of the latents that tiles share, unless told. */
const OVERLAP = 16;

/** Images or latents [b, h, w, c]. */
type Picture = Weights[string];

/**
 * Decodes latents [b, h, w, c]: at once where no side is longer than `tile`, else in tiles of one size that overlap by `overlap` or
 * more of the latents' pixels, faded into each other over what they share. All tiles have one shape, so one compiled `decode`
 * serves them. `decode` enlarges by a whole factor. A decoder that sees a whole picture, by attention or by norms, makes each tile a
 * little different from what the whole would be. Throws a usage failure for an overlap of a tile or more.
 */
export async function decodeInTiles(options: {
  latents: Picture;
  tile?: number;
  overlap?: number;
  decode: (latents: Picture) => Promise<Picture>;
}): Promise<Picture> {
  const { latents, tile = 64, overlap = OVERLAP, decode } = options;
  if (!(Number.isInteger(tile) && Number.isInteger(overlap) && tile >= 1 && overlap >= 0 && overlap < tile)) {
    throw badUsage(
      `Cannot decode in tiles of ${tile} that overlap by ${overlap}: both must be whole numbers, the overlap less than the tile`,
    );
  }
  const [, height, width] = latents.shape as [number, number, number, number];
  if (height <= tile && width <= tile) return decode(latents);
  const rows = tilesAlong(height, { tile, overlap });
  const columns = tilesAlong(width, { tile, overlap });
  let sum: Picture | undefined;
  for (const top of rows.starts) {
    for (const left of columns.starts) {
      const piece = await decode(cropped(latents, { top, left, height: rows.length, width: columns.length }));
      const [b, tall, , channels] = piece.shape as [number, number, number, number];
      const factor = tall / rows.length;
      const shape = [b, height * factor, width * factor, channels];
      sum ??= { shape, data: new Float32Array(elements(shape)) };
      const shares = [rows.shares(top, factor), columns.shares(left, factor)] as const;
      addFaded(sum, piece, { top: top * factor, left: left * factor, shares });
    }
  }
  return sum as Picture;
}

/**
 * The same as a part of a traced program, which holds the decoder once for each tile and its weights once: latents [b, h, w, c] to a
 * picture.
 */
export function tracedInTiles(options: { latents: Tensor; tile: number; overlap?: number; decode: (latents: Tensor) => Tensor }): Tensor {
  const { latents, tile, overlap = OVERLAP, decode } = options;
  const [, height, width, channels] = latents.shape as [number, number, number, number];
  if (height <= tile && width <= tile) return decode(latents);
  const [rows, columns] = [tilesAlong(height, { tile, overlap }), tilesAlong(width, { tile, overlap })];
  const pieces = rows.starts.flatMap((top) =>
    columns.starts.map((left) => {
      const piece = decode(tf.slice(latents, [0, top, left, 0], [-1, rows.length, columns.length, channels]));
      const [, tall, wide] = piece.shape as [number, number, number, number];
      const factor = tall / rows.length;
      const down = tf.tensor4d(rows.shares(top, factor), [1, tall, 1, 1]);
      const across = tf.tensor4d(columns.shares(left, factor), [1, 1, wide, 1]);
      const around = ([start, side, all]: readonly [number, number, number]): [number, number] => [
        start * factor,
        all * factor - start * factor - side,
      ];
      return tf.pad(tf.mul(tf.mul(piece, down), across), [
        [0, 0],
        around([top, tall, height]),
        around([left, wide, width]),
        [0, 0],
      ]) as Tensor;
    }),
  );
  return pieces.reduce((sum, piece) => tf.add(sum, piece) as Tensor);
}

/** Where tiles begin along a side, and how long they are. */
interface Tiles {
  starts: number[];
  length: number;
  /** Which share of each pixel of the result is the tile's that begins there; the shares of all tiles add up to 1. */
  shares: (start: number, factor: number) => Float32Array;
}

/** Tiles along a side, evenly spread from its first pixel to its last. */
function tilesAlong(side: number, { tile, overlap }: { tile: number; overlap: number }): Tiles {
  const length = Math.min(tile, side);
  const count = side <= length ? 1 : Math.ceil((side - overlap) / (length - overlap));
  const starts = Array.from({ length: count }, (_, i) => (count === 1 ? 0 : Math.round((i * (side - length)) / (count - 1))));
  const shares = (start: number, factor: number) => {
    const weights = fading(length * factor, overlap * factor);
    const total = (at: number) => starts.reduce((sum, other) => sum + (weights[at - other * factor] ?? 0), 0);
    return weights.map((weight, i) => weight / total(start * factor + i));
  };
  return { starts, length, shares };
}

/** Weights of a tile's pixels, which rise and fall over an overlap at either end. */
function fading(length: number, overlap: number): Float32Array {
  return Float32Array.from({ length }, (_, i) => Math.min(1, (Math.min(i, length - 1 - i) + 1) / (overlap + 1)));
}

function cropped(from: Picture, { top, left, height, width }: { top: number; left: number; height: number; width: number }): Picture {
  const [b, h, w, c] = from.shape as [number, number, number, number];
  const piece = { shape: [b, height, width, c], data: new Float32Array(b * height * width * c) };
  for (let row = 0; row < b * height; row++) {
    const at = ((Math.floor(row / height) * h + top + (row % height)) * w + left) * c;
    piece.data.set(from.data.subarray(at, at + width * c), row * width * c);
  }
  return piece;
}

/** Adds a piece times its shares to a picture, in place. */
function addFaded(
  sum: Picture,
  piece: Picture,
  { top, left, shares: [down, across] }: { top: number; left: number; shares: readonly [Float32Array, Float32Array] },
): void {
  const [, h, w, c] = sum.shape as [number, number, number, number];
  const [b, height, width] = piece.shape as [number, number, number, number];
  for (let row = 0; row < b * height; row++) {
    const y = row % height;
    const at = ((Math.floor(row / height) * h + top + y) * w + left) * c;
    for (let i = 0; i < width * c; i++) {
      const share = (down[y] as number) * (across[Math.floor(i / c)] as number);
      sum.data[at + i] = (sum.data[at + i] as number) + (piece.data[row * width * c + i] as number) * share;
    }
  }
}
