/**
 * The random transforms of E-LatentLPIPS (docs/METHODS.md 1.3), differentiable and driven by an explicit tensor of draws, so
 * that a traced program stays the same and the randomness is a pure function of (seed, step). Groups, by letter:
 *
 * - b: one of the eight flips and quarter turns (four where not square), translation by whole pixels up to 1/8 of the size;
 * - g: isotropic and anisotropic scale, each 2^N(0, 0.2^2), translation by N(0, (1/8)^2) of the size;
 * - r: rotation within an eighth of a turn, as three shears (Paeth 1986); costs more than the rest together;
 * - c: brightness, contrast, saturation over the channels (DiffAugment's ranges);
 * - o: cutout of a square of half the side.
 *
 * Flips, turns, scales and translations are separable: one small interpolation matrix for the rows and one for the
 * columns. They reflect at the edges and interpolate with Keys' cubic (Catmull-Rom), where the reference has a wavelet.
 * Each of g, r and o fires for half of the samples (the reference: for all), so that half of the comparisons see the
 * finest detail unsmoothed.
 */
import { normals, uniforms } from "../../schemas/numbers/philox.ts";
import { tf, type Tensor } from "../../engine/tfjs.ts";

/** The transforms used where nothing else is said: the paper's geometric ones and cutout, without rotation. */
export const AUGMENTATIONS = "bgo";

/** What a column of the draws means. Scales are steps in the source for one step in the result; negative: mirrored. */
export const DRAW_FIELDS = [
  "transpose", // 1: rows and columns change places
  "scaleX",
  "shiftX", // share of the width
  "scaleY",
  "shiftY",
  "shearX", // tan(angle / 2)
  "shearY", // sin(angle)
  "cutX", // centre of the cutout, share of the width
  "cutY",
  "cutHalf", // half its side, share of the size; 0: none
  "brightness", // added
  "contrast", // factor about the sample's mean
  "saturation", // factor about the mean over the channels
] as const;
export type DrawField = (typeof DRAW_FIELDS)[number];

/** Numbers a draw takes: the second dimension of the draws. */
export const DRAW_SIZE = DRAW_FIELDS.length;

const IDENTITY: Record<DrawField, number> = {
  transpose: 0,
  scaleX: 1,
  shiftX: 0,
  scaleY: 1,
  shiftY: 0,
  shearX: 0,
  shearY: 0,
  cutX: 0.5,
  cutY: 0.5,
  cutHalf: 0,
  brightness: 0,
  contrast: 1,
  saturation: 1,
};

/** One draw as a row of DRAW_SIZE numbers; what is left out does nothing. */
export function draw(fields: Partial<Record<DrawField, number>> = {}): number[] {
  return DRAW_FIELDS.map((field) => fields[field] ?? IDENTITY[field]);
}

/**
 * Random draws [batch, DRAW_SIZE] for latents of height x width in training step `step`; groups that are left out stay
 * the identity.
 */
export function augmentationDraws(options: {
  seed: number;
  step: number;
  batch: number;
  height: number;
  width: number;
  groups?: string;
}): Float32Array {
  const { seed, step, batch, height, width, groups = AUGMENTATIONS } = options;
  const each = 16; // random numbers of either kind set aside for one sample
  const range = { offset: step * batch * each, length: batch * each };
  const uniform = uniforms({ seed, stream: "augmentation/uniform", ...range });
  const normal = normals({ seed, stream: "augmentation/normal", ...range });
  const out = new Float32Array(batch * DRAW_SIZE);
  for (let sample = 0; sample < batch; sample++) {
    let [u, n] = [sample * each, sample * each];
    const chance = (): number => uniform[u++] as number;
    const gauss = (): number => normal[n++] as number;
    const on = (group: string): number => (groups.includes(group) ? 1 : 0);
    const coin = (): number => (chance() < 0.5 ? 1 : 0);
    const [b, g, r, o, c] = [on("b"), on("g") * coin(), on("r") * coin(), on("o") * coin(), on("c")];
    const sign = (): number => 1 - 2 * b * coin();
    const whole = (size: number): number => (b * Math.round((2 * chance() - 1) * (size / 8))) / size;
    const transpose = height === width ? b * coin() : 0;
    const [isotropic, anisotropic] = [g * gauss() * 0.2, g * gauss() * 0.2];
    const angle = (r * (2 * chance() - 1) * Math.PI) / 4;
    const row = draw({
      transpose,
      scaleX: sign() * 2 ** -(isotropic + anisotropic),
      scaleY: sign() * 2 ** -(isotropic - anisotropic),
      shiftX: whole(width) + (g * gauss()) / 8,
      shiftY: whole(height) + (g * gauss()) / 8,
      shearX: Math.tan(angle / 2),
      shearY: Math.sin(angle),
      cutX: chance(),
      cutY: chance(),
      cutHalf: o * 0.25,
      brightness: c * (chance() - 0.5),
      contrast: 1 + c * (chance() - 0.5),
      saturation: 1 + c * (2 * chance() - 1),
    });
    out.set(row, sample * DRAW_SIZE);
  }
  return out;
}

/**
 * The transforms of `draws` [b, DRAW_SIZE] as a function of latents [b, h, w, c]. Only the groups named are traced; use
 * the same letters as for the draws. Both sides of a comparison go through one such function.
 */
export function augmentation(
  draws: Tensor,
  shape: readonly [height: number, width: number],
  groups = AUGMENTATIONS,
): (x: Tensor) => Tensor {
  const [height, width] = shape;
  const columns = tf.split(draws, DRAW_SIZE, 1);
  const field = (name: DrawField): Tensor => columns[DRAW_FIELDS.indexOf(name)] as Tensor; // [b, 1]
  const steps: ((x: Tensor) => Tensor)[] = [];
  if (/[bg]/.test(groups)) {
    if (groups.includes("b") && height === width) steps.push(transposition(field("transpose")));
    const rows = interpolation(affine(field("scaleY"), field("shiftY"), height), tf.abs(field("scaleY")));
    const cols = interpolation(affine(field("scaleX"), field("shiftX"), width), tf.abs(field("scaleX")));
    steps.push((x) => swap(resample(swap(resample(x, rows)), cols)));
  }
  if (groups.includes("r")) {
    const across = shear(field("shearX"), height, width);
    const down = shear(tf.neg(field("shearY")), width, height);
    steps.push((x) => across(swap(down(swap(across(x))))));
  }
  if (groups.includes("c")) steps.push(colour(field("brightness"), field("contrast"), field("saturation")));
  if (groups.includes("o")) {
    const [x, y, half] = [field("cutX"), field("cutY"), field("cutHalf")];
    const inside = tf.mul(tf.reshape(within(y, half, height), [-1, height, 1, 1]), tf.reshape(within(x, half, width), [-1, 1, width, 1]));
    const kept = tf.sub(1, inside);
    steps.push((latents) => tf.mul(latents, kept));
  }
  return (x) => steps.reduce((y, step) => step(y), x);
}

/** Latents x [b, h, w, c] under `draws` [b, DRAW_SIZE]. */
export function augment(x: Tensor, draws: Tensor, groups = AUGMENTATIONS): Tensor {
  return augmentation(draws, [x.shape[1] as number, x.shape[2] as number], groups)(x);
}

/** Rows and columns change places: [b, h, w, c] -> [b, w, h, c]. */
const swap = (x: Tensor): Tensor => tf.transpose(x, [0, 2, 1, 3]);

function transposition(share: Tensor): (x: Tensor) => Tensor {
  const factor = tf.reshape(share, [-1, 1, 1, 1]);
  return (x) => tf.add(x, tf.mul(tf.sub(swap(x), x), factor));
}

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

/** Where each of n pixels comes from, [b, n], in source pixels: scale about the centre, then shift (share of n). */
function affine(scale: Tensor, shift: Tensor, n: number): Tensor {
  const centre = (n - 1) / 2;
  const offsets = tf.tensor2d(
    range(n).map((i) => i - centre),
    [1, n],
  );
  return tf.add(tf.add(tf.mul(scale, offsets), centre), tf.mul(shift, n));
}

/**
 * Interpolation matrices [..., n, n] that read a line of n pixels, reflected at its ends, at `positions` [..., n].
 * Steps larger than a pixel (`scale`, rank 2, positions then [b, n]) widen the kernel as much, against aliasing.
 */
function interpolation(positions: Tensor, scale?: Tensor): Tensor {
  const n = positions.shape.at(-1) as number;
  // Pixel j and its reflections: the line repeats forwards and backwards with period 2 n.
  const images = [
    (j: number) => j,
    (j: number) => -1 - j,
    (j: number) => 2 * n - 1 - j,
    (j: number) => j + 2 * n,
    (j: number) => j - 2 * n,
  ];
  const taps = tf.tensor2d(
    images.flatMap((image) => range(n).map(image)),
    [images.length, n],
  );
  const distance = tf.sub(tf.reshape(positions, [...positions.shape, 1, 1]), taps);
  const widened = scale ? tf.div(distance, tf.reshape(tf.maximum(scale, 1), [-1, 1, 1, 1])) : distance;
  const weights = tf.sum(cubic(widened), -2);
  return tf.div(weights, tf.sum(weights, -1, true));
}

/** Keys' cubic convolution kernel with a = -1/2 (Keys 1981, equation 4): 1 at 0, 0 at every other integer. */
function cubic(x: Tensor): Tensor {
  const d = tf.abs(x);
  const near = tf.add(tf.mul(tf.square(d), tf.sub(tf.mul(d, 1.5), 2.5)), 1);
  const far = tf.add(tf.mul(tf.sub(tf.mul(tf.add(tf.mul(d, -0.5), 2.5), d), 4), d), 2);
  return tf.where(tf.less(d, 1), near, tf.where(tf.less(d, 2), far, tf.zerosLike(d)));
}

/** Every column of x [b, h, w, c] through matrices [b, h, h]. */
function resample(x: Tensor, matrices: Tensor): Tensor {
  const [b, h, w, c] = x.shape as [number, number, number, number];
  return tf.reshape(tf.matMul(matrices, tf.reshape(x, [b, h, w * c])), [b, h, w, c]);
}

/** Moves row y of x [b, h, w, c] sideways by factor (y - centre) pixels; `factor` [b, 1]. */
function shear(factor: Tensor, h: number, w: number): (x: Tensor) => Tensor {
  const slopes = tf.reshape(
    tf.mul(
      factor,
      tf.tensor2d(
        range(h).map((y) => y - (h - 1) / 2),
        [1, h],
      ),
    ),
    [-1, h, 1],
  );
  const matrices = interpolation(tf.add(slopes, tf.tensor3d(range(w), [1, 1, w])));
  return (x) => tf.matMul(matrices, x);
}

function colour(brightness: Tensor, contrast: Tensor, saturation: Tensor): (x: Tensor) => Tensor {
  const about = (x: Tensor, axes: number[], factor: Tensor): Tensor => {
    const centre = tf.mean(x, axes, true);
    return tf.add(tf.mul(tf.sub(x, centre), tf.reshape(factor, [-1, 1, 1, 1])), centre);
  };
  return (x) => {
    const bright = tf.add(x, tf.reshape(brightness, [-1, 1, 1, 1]));
    return about(about(bright, [3], saturation), [1, 2, 3], contrast);
  };
}

/** 1 for the pixels of a line of n whose centres lie within `half` of `centre` (shares of n, [b, 1]), else 0: [b, n]. */
function within(centre: Tensor, half: Tensor, n: number): Tensor {
  const middles = tf.tensor2d(
    range(n).map((i) => (i + 0.5) / n),
    [1, n],
  );
  return tf.cast(tf.less(tf.abs(tf.sub(middles, centre)), half), "float32");
}
