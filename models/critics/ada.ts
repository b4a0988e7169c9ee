/**
 * Adaptive discriminator augmentation (Karras et al. 2020, arXiv 2006.06676; docs/METHODS.md 9.13): each transform fires with a
 * probability p, which rises while the discriminator is sure of real rows and falls otherwise. p is a part of the training like
 * a network, so a checkpoint holds it: descent on {@link adaLoss} by {@link adaOptimiser} is its controller.
 */
import { normals, uniforms } from "../../schemas/numbers/philox.ts";
import { stopGradient } from "../../engine/ops.ts";
import { tf, type Tensor } from "../../engine/tfjs.ts";
import type { Weights } from "../../engine/weights.ts";
import { augmentation, DRAW_FIELDS, type DrawField } from "../losses/augment.ts";
import type { AdamConfig } from "../training/optimiser.ts";
import type { Augmenter, Shape } from "./augmenter.ts";

/** Transforms that fire together, each with its pipe's letter, and what its numbers are when it does not fire. */
const TRANSFORMS = [
  { pipe: "b", columns: { flip: 1 } },
  { pipe: "b", columns: { transpose: 0, turnX: 1, turnY: 1 } }, // a quarter turn is a transposition and a flip
  { pipe: "b", columns: { wholeX: 0, wholeY: 0 } },
  { pipe: "g", columns: { scale: 0 } }, // exponents of 2
  { pipe: "g", columns: { stretch: 0 } },
  { pipe: "g", columns: { slideX: 0, slideY: 0 } },
  { pipe: "r", columns: { shearX: 0, shearY: 0 } }, // a rotation as three shears
  { pipe: "c", columns: { brightness: 0 } },
  { pipe: "c", columns: { contrast: 1 } },
  { pipe: "c", columns: { saturation: 1 } },
] as const;
type UnionKeys<T> = T extends unknown ? keyof T : never;
type Column = UnionKeys<(typeof TRANSFORMS)[number]["columns"]>;

const COLUMNS = TRANSFORMS.flatMap(({ columns }) => Object.keys(columns)) as Column[];

/** Random numbers of either kind that a row takes. */
const EACH = 16;

/**
 * ADA of latents of this shape. `pipes`, some of these letters: b, flip, quarter turns, shift by whole pixels up to 1/8; g, scale
 * and scale along one axis, each 2^N(0, 0.2^2), and shift by N(0, (1/8)^2) of the size; r, rotation within an eighth of a turn; c,
 * brightness + N(0, 0.2^2), contrast x 2^N(0, 0.5^2), saturation x 2^N(0, 1). The reference's hue and luma flip are of colours alone.
 */
export function createAda({ shape, pipes }: { shape: Shape; pipes: string }): Augmenter {
  const [height, width] = shape;
  const groups = pipes.replace("g", pipes.includes("b") ? "" : "g"); // b and g are resampled as one
  return {
    columns: COLUMNS.length + TRANSFORMS.length,
    draws: ({ seed, stream, step, rows }) => {
      const of = { seed, offset: step * rows * EACH, length: rows * EACH };
      const uniform = uniforms({ ...of, stream: `${stream}/uniform` });
      const normal = normals({ ...of, stream: `${stream}/normal` });
      const gates = uniforms({
        seed,
        stream: `${stream}/gates`,
        offset: step * rows * TRANSFORMS.length,
        length: rows * TRANSFORMS.length,
      });
      return Float32Array.from(
        Array.from({ length: rows }, (_, row) => {
          const part = <T extends Float32Array | Float64Array>(of: T): T => of.subarray(row * EACH, (row + 1) * EACH) as T;
          const drawn = drawnRow(part(uniform), part(normal), { height, width });
          return [...COLUMNS.map((column) => drawn[column]), ...gates.subarray(row * TRANSFORMS.length, (row + 1) * TRANSFORMS.length)];
        }).flat(),
      );
    },
    apply: (x, draws, probability) => {
      const columns = tf.split(draws, COLUMNS.length + TRANSFORMS.length, 1);
      const values = {} as Record<Column, Tensor>;
      TRANSFORMS.forEach(({ pipe, columns: own }, transform) => {
        const gate = columns[COLUMNS.length + transform] as Tensor;
        const fires = pipes.includes(pipe) ? tf.cast(tf.less(gate, probability ?? 1), "float32") : tf.zerosLike(gate);
        for (const [column, identity] of Object.entries(own) as [Column, number][]) {
          const drawn = columns[COLUMNS.indexOf(column)] as Tensor;
          values[column] = tf.add(tf.mul(tf.sub(drawn, identity), fires), identity);
        }
      });
      return augmentation(fieldsOf(values), [height, width], groups)(x);
    },
  };
}

/** What every transform does if it fires. */
function drawnRow(
  u: ArrayLike<number>,
  n: ArrayLike<number>,
  { height, width }: { height: number; width: number },
): Record<Column, number> {
  const [coin, turn, right, down, tilt] = [u[0], u[1], u[2], u[3], u[4]] as [number, number, number, number, number];
  const [scale, stretch, slideX, slideY, brightness, contrast, saturation] = Array.from(n) as Seven;
  const quarters = height === width ? Math.floor(4 * turn) : 2 * Math.floor(2 * turn);
  const whole = (draw: number, size: number): number => Math.round((2 * draw - 1) * (size / 8)) / size;
  const angle = ((2 * tilt - 1) * Math.PI) / 4;
  return {
    flip: coin < 0.5 ? -1 : 1,
    transpose: quarters % 2,
    turnX: quarters === 1 || quarters === 2 ? -1 : 1,
    turnY: quarters >= 2 ? -1 : 1,
    wholeX: whole(right, width),
    wholeY: whole(down, height),
    scale: 0.2 * scale,
    stretch: 0.2 * stretch,
    slideX: slideX / 8,
    slideY: slideY / 8,
    shearX: Math.tan(angle / 2),
    shearY: Math.sin(angle),
    brightness: 0.2 * brightness,
    contrast: 2 ** (0.5 * contrast),
    saturation: 2 ** saturation,
  };
}
type Seven = [number, number, number, number, number, number, number];

/** The draws of models/losses/augment.ts that these transforms make together, [b, DRAW_SIZE]. */
function fieldsOf(v: Record<Column, Tensor>): Tensor {
  const power = (exponent: Tensor): Tensor => tf.exp(tf.mul(exponent, -Math.LN2)); // steps in the source for one in the result
  const fields: Partial<Record<DrawField, Tensor>> = {
    transpose: v.transpose,
    scaleX: tf.mul(tf.mul(v.flip, v.turnX), power(tf.add(v.scale, v.stretch))),
    scaleY: tf.mul(v.turnY, power(tf.sub(v.scale, v.stretch))),
    shiftX: tf.add(v.wholeX, v.slideX),
    shiftY: tf.add(v.wholeY, v.slideY),
    shearX: v.shearX,
    shearY: v.shearY,
    brightness: v.brightness,
    contrast: v.contrast,
    saturation: v.saturation,
  };
  return tf.concat(
    DRAW_FIELDS.map((field) => fields[field] ?? tf.zerosLike(v.flip)),
    1,
  );
}

const PROBABILITY = "probability";

/** The part that holds p, which starts at 0. */
export const initAda = (): Weights => ({ [PROBABILITY]: { shape: [], data: new Float32Array(1) } });

/** p in [0, 1], of that part's parameters. */
export const probabilityOf = (parameters: Readonly<Record<string, Tensor>>): Tensor =>
  tf.clipByValue(parameters[PROBABILITY] as Tensor, 0, 1);

/** How sure a discriminator is of real rows: the sign of each row's mean logit over heads, [b]. */
export function signs(logits: readonly Tensor[]): Tensor {
  return tf.sign(tf.addN(logits.map((logit) => tf.mean(logit, 1))));
}

/**
 * What p descends on: its slope is target - r with r = E sign D(real) over `sure` [b], and nothing where p stands at 0 or 1 and would
 * leave. By {@link adaOptimiser} each update moves p by the rate, up where r is above the target and down where it is below.
 */
export function adaLoss(parameters: Readonly<Record<string, Tensor>>, { sure, target }: { sure: Tensor; target: number }): Tensor {
  const p = parameters[PROBABILITY] as Tensor;
  const excess = tf.sub(tf.mean(sure), target);
  const leaves = tf.logicalOr(
    tf.logicalAnd(tf.lessEqual(p, 0), tf.less(excess, 0)),
    tf.logicalAnd(tf.greaterEqual(p, 1), tf.greater(excess, 0)),
  );
  return tf.neg(tf.mul(p, stopGradient(tf.where(leaves, tf.zerosLike(excess), excess))));
}

/** Adam without memory is descent by signs: p takes `images` real rows to go from 0 to 1 (the reference: 500,000). */
export function adaOptimiser(options: { batch: number; images: number; steps: number }): AdamConfig & {
  learningRate: number;
  warmup: number;
  decay: number;
  steps: number;
} {
  const { batch, images, steps } = options;
  return { learningRate: batch / images, warmup: 0, decay: 0, steps, beta1: 0, beta2: 0, weightDecay: 0, clip: 1 };
}
