/**
 * The layers every network here is made of, as traced tensor functions over named parameters.
 * Tensors are [batch, height, width, channels] or [batch, tokens, width]; a layer called `name` owns `name.kernel`,
 * `name.bias` and so on. Only operations with correct second derivatives are used (R1 differentiates twice).
 */
import { layerNorm, swish } from "../engine/ops.ts";
import { tf, type Tensor } from "../engine/tfjs.ts";

export { layerNorm };

/** Parameters of a network inside a traced function, by the names `init` gave them. */
export type Parameters = Record<string, Tensor>;

/** The parameter `name`, or an error that names what is missing. */
export function parameter(parameters: Parameters, name: string): Tensor {
  const value = parameters[name];
  if (!value) throw new Error(`Cannot apply a layer: parameter "${name}" is missing`);
  return value;
}

/** A number a sample [b], as a factor of [b, h, w, c]. */
export function spread(perSample: Tensor): Tensor {
  return tf.reshape(perSample, [-1, 1, 1, 1]);
}

/** The columns of [b, n], each [b]. */
export function columns(values: Tensor): Tensor[] {
  const [rows, width] = values.shape as [number, number];
  return Array.from({ length: width }, (_, i) => tf.reshape(tf.slice(values, [0, i], [rows, 1]), [-1]));
}

/** Endings of what a kernel with a LoRA is made of, beside the whole kernel: what it was, and the two factors of the addition. */
export const BASE = ".lora.base";
export const DOWN = ".lora.down";
export const UP = ".lora.up";

/**
 * What a layer makes of x by `name.kernel`. Where that has a LoRA, x goes through the frozen kernel and, beside it, through the two
 * small factors: the sum of all three is never made in training, and neither is a gradient as large as the kernel.
 */
export function throughKernel(parameters: Parameters, name: string, x: Tensor, by: (x: Tensor, kernel: Tensor) => Tensor): Tensor {
  const kernel = `${name}.kernel`;
  const base = parameters[kernel + BASE];
  if (!base) return by(x, parameter(parameters, kernel));
  const low = by(x, parameter(parameters, kernel + DOWN));
  const up = parameter(parameters, kernel + UP);
  const added = tf.matMul(tf.reshape(low, [-1, up.shape[0] as number]), up as never);
  return tf.add(by(x, base), tf.reshape(added, [...low.shape.slice(0, -1), up.shape[1] as number]));
}

/** x [..., in] times `name.kernel` [in, out], or a one-pixel convolution's [1, 1, in, out], plus `name.bias` [out] where there is one. */
export function linear(parameters: Parameters, name: string, x: Tensor): Tensor {
  const flat = x.rank === 2 ? x : tf.reshape(x, [-1, x.shape.at(-1) as number]);
  const product = throughKernel(parameters, name, flat, (rows, kernel) =>
    tf.matMul(rows as never, (kernel.rank === 2 ? kernel : tf.reshape(kernel, kernel.shape.slice(-2))) as never),
  );
  const bias = parameters[`${name}.bias`];
  const y = bias ? tf.add(product, bias) : product;
  return x.rank === 2 ? y : tf.reshape(y, [...x.shape.slice(0, -1), y.shape.at(-1) as number]);
}

/** 2-D convolution, padding "same": x [b, h, w, in], `name.kernel` [kh, kw, in, out], optional `name.bias`. */
export function conv(parameters: Parameters, name: string, x: Tensor, options: { stride?: number } = {}): Tensor {
  const y = throughKernel(parameters, name, x, (map, kernel) => tf.conv2d(map as never, kernel as never, options.stride ?? 1, "same"));
  const bias = parameters[`${name}.bias`];
  return bias ? tf.add(y, bias) : y;
}

/**
 * Group normalisation (Wu & He 2018) of x [b, h, w, c] with `name.scale` and `name.bias` [c]. Statistics are taken by
 * channel first and then by group, and scale joins the inverse deviation: every pass over x runs along whole rows of channels.
 */
export function groupNorm(parameters: Parameters, name: string, x: Tensor, groups: number, epsilon = 1e-5): Tensor {
  const [b, h, w, c] = x.shape as [number, number, number, number];
  const pixels = tf.reshape(x, [b, h * w, c]);
  const byGroup = (t: Tensor): Tensor => {
    const mean = tf.mean(tf.reshape(tf.mean(t, 1), [b, groups, c / groups]), 2, true);
    return tf.reshape(tf.mul(mean, tf.ones([1, 1, c / groups])), [b, 1, c]);
  };
  const centred = tf.sub(pixels, byGroup(pixels));
  const inverse = tf.rsqrt(tf.add(byGroup(tf.square(centred)), epsilon));
  const scaled = tf.mul(centred, tf.mul(inverse, parameter(parameters, `${name}.scale`)));
  return tf.reshape(tf.add(scaled, parameter(parameters, `${name}.bias`)), [b, h, w, c]);
}

/** x * sigmoid(x), also called swish. */
export function silu(x: Tensor): Tensor {
  return swish(x);
}

/** GELU in its sigmoid form, x * sigmoid(1.702 x) (Hendrycks & Gimpel 2016, section 2). */
export function gelu(x: Tensor): Tensor {
  return swish(x, 1.702);
}

/**
 * Multi-head attention of queries [b, n, d] over keys and values [b, m, d]. `bias`, where given, is added to the scores
 * [b, heads, n, m], of which it may leave out all but the last dimension (1): 0 keeps a position, -1e4 hides it.
 */
export function attention(options: { q: Tensor; k: Tensor; v: Tensor; heads: number; bias?: Tensor }): Tensor {
  const { q, k, v, heads, bias } = options;
  const [b, n, d] = q.shape as [number, number, number];
  const split = (t: Tensor): Tensor => tf.transpose(tf.reshape(t, [b, t.shape[1] as number, heads, d / heads]), [0, 2, 1, 3]);
  const scores = tf.matMul(split(tf.mul(q, 1 / Math.sqrt(d / heads))), split(k), false, true);
  const weights = tf.softmax(bias ? tf.add(scores, bias) : scores);
  return tf.reshape(tf.transpose(tf.matMul(weights, split(v)), [0, 2, 1, 3]), [b, n, d]);
}

/** Self-attention of x [b, n, d] through `name.qkv` and `name.out`. */
export function selfAttention(parameters: Parameters, name: string, x: Tensor, options: { heads: number; bias?: Tensor }): Tensor {
  const [q, k, v] = tf.split(linear(parameters, `${name}.qkv`, x), 3, -1) as [Tensor, Tensor, Tensor];
  return linear(parameters, `${name}.out`, attention({ q, k, v, ...options }));
}

/**
 * Sinusoidal features of a scalar per sample: values [b] -> [b, width]. Frequencies run geometrically from 1 to
 * 1/`period` (Vaswani et al. 2017, section 3.5); the scale suits c_noise = ln(sigma) / 4 of EDM times 100.
 */
export function sinusoidal(values: Tensor, width: number, options: { scale?: number; period?: number } = {}): Tensor {
  const half = width / 2;
  const frequencies = Array.from({ length: half }, (_, i) => (options.period ?? 1000) ** (-i / half));
  const angles = tf.mul(
    tf.reshape(values, [-1, 1]),
    tf.tensor2d(
      frequencies.map((f) => f * (options.scale ?? 100)),
      [1, half],
    ),
  );
  return tf.concat([tf.cos(angles), tf.sin(angles)], -1);
}

/** Nearest-neighbour enlargement by any whole factor: [b, h, w, c] -> [b, factor h, factor w, c]. */
export function upsample(x: Tensor, factor = 2): Tensor {
  const [b, h, w, c] = x.shape as [number, number, number, number];
  const wide = tf.concat(Array<Tensor>(factor).fill(x), 3); // repeats each pixel along the width: [b, h, w, factor c]
  const rows = tf.reshape(wide, [b, h, 1, factor * w * c]);
  return tf.reshape(tf.concat(Array<Tensor>(factor).fill(rows), 2), [b, factor * h, factor * w, c]);
}

/** Mean over squares of side `factor`: [b, h, w, c] -> [b, h / factor, w / factor, c]. */
export function downsample(x: Tensor, factor = 2): Tensor {
  const [b, h, w, c] = x.shape as [number, number, number, number];
  const columns = tf.mean(tf.reshape(x, [b * h, w / factor, factor, c]), 2);
  const rows = tf.mean(tf.reshape(columns, [b, h / factor, factor, (w / factor) * c]), 2);
  return tf.reshape(rows, [b, h / factor, w / factor, c]);
}

/** Squares of side `patch` become tokens: [b, h, w, c] -> [b, (h / patch) (w / patch), patch * patch * c]. */
export function patchify(x: Tensor, patch: number): Tensor {
  const [b, h, w, c] = x.shape as [number, number, number, number];
  const split = tf.reshape(x, [b * (h / patch), patch, w / patch, patch * c]);
  return tf.reshape(tf.transpose(split, [0, 2, 1, 3]), [b, (h / patch) * (w / patch), patch * patch * c]);
}

/** The inverse of `patchify`: tokens [b, n, patch * patch * c] -> [b, h, w, c]. */
export function unpatchify(tokens: Tensor, options: { patch: number; height: number; width: number }): Tensor {
  const { patch, height, width } = options;
  const b = tokens.shape[0] as number;
  const c = (tokens.shape[2] as number) / (patch * patch);
  const split = tf.reshape(tokens, [b * (height / patch), width / patch, patch, patch * c]);
  return tf.reshape(tf.transpose(split, [0, 2, 1, 3]), [b, height, width, c]);
}

/** Space to depth: [b, h, w, c] -> [b, h / 2, w / 2, 4 c]. */
export function fold(x: Tensor): Tensor {
  const [b, h, w, c] = x.shape as [number, number, number, number];
  return tf.reshape(patchify(x, 2), [b, h / 2, w / 2, 4 * c]);
}

/** Depth to space, the inverse of `fold`. */
export function unfold(x: Tensor): Tensor {
  const [b, h, w, c] = x.shape as [number, number, number, number];
  return unpatchify(tf.reshape(x, [b, h * w, c]), { patch: 2, height: 2 * h, width: 2 * w });
}

/**
 * A linear map of the columns of an image and one of its rows: x [b, h, w, c] times `columns` [w, w'] along the width and
 * `rows` [h, h'] along the height, [b, h', w', c].
 */
export function separable(x: Tensor, { rows, columns }: { rows: Tensor; columns: Tensor }): Tensor {
  const [b, h, w, c] = x.shape as [number, number, number, number];
  const [height, width] = [rows.shape[1], columns.shape[1]] as [number, number];
  const across = tf.matMul(tf.reshape(tf.transpose(x, [0, 3, 1, 2]), [b * c * h, w]), columns); // [b c h, w']
  const turned = tf.transpose(tf.reshape(across, [b, c, h, width]), [0, 3, 1, 2]); // [b, w', c, h]
  const down = tf.matMul(tf.reshape(turned, [b * width * c, h]), rows); // [b w' c, h']
  return tf.transpose(tf.reshape(down, [b, width, c, height]), [0, 3, 1, 2]);
}
