/**
 * The prior: a decoder-only transformer over an image's tokens, rows of the grid one after the other (LlamaGen; docs/METHODS.md
 * section 8). What an image is conditioned on stands in front of it: the pieces of a caption as its encoder reads them, and a
 * place of its own that holds the condition's vector, from which the first token is foretold. Positions are learned, and
 * each place sees those before it.
 */
import { tf, type Tensor } from "../../engine/tfjs.ts";
import type { Weights } from "../../engine/weights.ts";
import type { PriorSpec } from "../../schemas/model.ts";
import type { Embedded, Encoder, InputShapes } from "../encoders/encoder.ts";
import { ownEncoders } from "../encoders/own.ts";
import { createInitialiser } from "../initialise.ts";
import { attention, gelu, layerNorm, linear, type Parameters, parameter } from "../layers.ts";

export type { PriorSpec };

/** What hides a place from attention. */
const HIDDEN = -1e4;

/** Tokens of an image. */
export const sequenceLength = ({ grid }: Pick<PriorSpec, "grid">): number => grid[0] * grid[1];

/** The encoders of the conditions, whose vectors are as wide as the network. */
export const priorEncoders = (spec: PriorSpec): Encoder[] => ownEncoders(spec, spec.network.width);

/** Declarations of the condition inputs; `keep` [batch] is 1 where the condition holds and 0 where it is dropped. */
export function priorConditions(spec: PriorSpec, batch: number): InputShapes {
  const inputs: InputShapes = Object.assign({}, ...priorEncoders(spec).map((encoder) => encoder.inputs(batch)));
  return Object.keys(inputs).length > 0 ? { ...inputs, keep: { shape: [batch] } } : {};
}

/** Places in front of the first token: the pieces of a caption, and the one that holds the condition's vector. */
export function prefixLength({ network: { captionTokens }, vocabulary }: PriorSpec): number {
  return (vocabulary > 0 ? captionTokens : 0) + 1;
}

/** Places that the network ever sees: the last token stands in none of them. */
export const placesOf = (spec: PriorSpec): number => prefixLength(spec) + sequenceLength(spec) - 1;

/** Initial weights; the head is silent, so that every token is as likely as any other. */
export function initPrior(spec: PriorSpec, seed: number): Weights {
  const init = createInitialiser(seed);
  const { codes, vocabulary } = spec;
  const { width, depth } = spec.network;
  init.normal("token.kernel", [codes, width], 0.5);
  init.normal("position", [placesOf(spec), width], 0.1);
  init.normal("start", [width], 0.5);
  const encoders = priorEncoders(spec);
  if (encoders.length > 0) init.linear("vector", width, width);
  if (vocabulary > 0) init.linear("sequence", width, width);
  for (let i = 0; i < depth; i++) {
    init.linear(`blocks.${i}.qkv`, width, 3 * width);
    init.linear(`blocks.${i}.out`, width, width, { gain: 0.5 });
    init.linear(`blocks.${i}.up`, width, 4 * width);
    init.linear(`blocks.${i}.down`, 4 * width, width, { gain: 0.5 });
  }
  init.linear("head", width, codes, { gain: 0 });
  return Object.assign(init.weights, ...encoders.map((encoder) => encoder.init?.(seed)));
}

/** The logits of every token of an image from the tokens before it: `imageTokens` int32 [b, n], and conditions -> [b, n, codes]. */
export function priorLogits(spec: PriorSpec, parameters: Parameters, inputs: Record<string, Tensor>): Tensor {
  const { imageTokens: tokens, ...given } = inputs as { imageTokens: Tensor };
  const [b, n] = tokens.shape as [number, number];
  const front = prefix(spec, parameters, given, b);
  const length = prefixLength(spec);
  const known = n > 1 ? [embedTokens(parameters, tf.slice(tokens, [0, 0], [b, n - 1]))] : [];
  const x = placed(parameters, tf.concat([front.x, ...known], 1), 0);
  const bias = tf.add(causal(placesOf(spec)), hiddenPlaces(front, placesOf(spec)));
  const y = blocks(spec, parameters, x, (_, heads) => attention({ ...heads, bias }));
  return linear(parameters, "head", layerNorm(tf.slice(y, [0, length - 1, 0], [b, n, y.shape[2] as number])));
}

/** Keys and values of every block [b, places, width], by "key.0", "value.0" ..., and `hidden` [b, 1, 1, places]. */
export type Cache = Record<string, Tensor>;

/** Shapes of a cache of `batch` rows. */
export function cacheShapes(spec: PriorSpec, batch: number): Record<string, number[]> {
  const { depth, width } = spec.network;
  const held = [batch, placesOf(spec), width];
  const blocks = Array.from({ length: depth }, (_, i) => [
    [`key.${i}`, held],
    [`value.${i}`, held],
  ]).flat();
  return Object.fromEntries([...blocks, ["hidden", [batch, 1, 1, placesOf(spec)]]]);
}

/** The first token's logits [b, codes] from the conditions alone, and the cache in which all further ones are found. */
export function beginTokens(
  spec: PriorSpec,
  parameters: Parameters,
  { batch, ...given }: { batch: number; conditions: Record<string, Tensor> },
): { logits: Tensor; cache: Cache } {
  const front = prefix(spec, parameters, given.conditions, batch);
  const length = prefixLength(spec);
  const rest = placesOf(spec) - length;
  const hidden = hiddenPlaces(front, placesOf(spec));
  const cache: Cache = { hidden };
  const x = placed(parameters, front.x, 0);
  const bias = tf.add(causal(length), tf.slice(hidden, [0, 0, 0, 0], [batch, 1, 1, length]));
  const y = blocks(spec, parameters, x, (i, { q, k, v, heads }) => {
    cache[`key.${i}`] = followed(k, rest);
    cache[`value.${i}`] = followed(v, rest);
    return attention({ q, k, v, heads, bias });
  });
  const last = tf.slice(y, [0, length - 1, 0], [batch, 1, y.shape[2] as number]);
  return { logits: tf.reshape(linear(parameters, "head", layerNorm(last)), [batch, spec.codes]), cache };
}

/**
 * The next token's logits [b, codes] from the last token [b] and the cache. `place` [1, places] is 1 where that token stands,
 * and `future` [1, places] is 1 at the places after it.
 */
export function continueTokens(
  spec: PriorSpec,
  parameters: Parameters,
  { token, place, future, cache }: { token: Tensor; place: Tensor; future: Tensor; cache: Cache },
): { logits: Tensor; cache: Cache } {
  const b = token.shape[0] as number;
  const here = tf.reshape(place, [1, -1, 1]);
  const elsewhere = tf.sub(1, here);
  const position = tf.reshape(tf.matMul(place as never, parameter(parameters, "position") as never), [1, 1, -1]);
  const x = tf.add(embedTokens(parameters, tf.reshape(token, [b, 1])), position);
  const bias = tf.add(cache.hidden as Tensor, tf.mul(tf.reshape(future, [1, 1, 1, -1]), HIDDEN));
  const next: Cache = { hidden: cache.hidden as Tensor };
  const held = (name: string, fresh: Tensor): Tensor => {
    next[name] = tf.add(tf.mul(cache[name] as Tensor, elsewhere), tf.mul(fresh, here));
    return next[name];
  };
  const y = blocks(spec, parameters, x, (i, { q, k, v, heads }) =>
    attention({ q, k: held(`key.${i}`, k), v: held(`value.${i}`, v), heads, bias }),
  );
  return { logits: tf.reshape(linear(parameters, "head", layerNorm(y)), [b, spec.codes]), cache: next };
}

/** -ln p of the tokens, mean over all of them: logits [b, n, codes], tokens int32 [b, n]. In nats. */
export function tokenCrossEntropy(logits: Tensor, tokens: Tensor): Tensor {
  const codes = logits.shape[2] as number;
  const flat = tf.reshape(logits, [-1, codes]);
  const wanted = tf.oneHot(tf.reshape(tokens, [-1]) as never, codes) as Tensor;
  return tf.mean(tf.sub(tf.logSumExp(flat, 1), tf.sum(tf.mul(flat, wanted), 1)));
}

interface Heads {
  q: Tensor;
  k: Tensor;
  v: Tensor;
  heads: number;
}

/** Pre-norm blocks over x [b, m, width]; `attend` answers what block i's queries gather. */
function blocks({ network }: PriorSpec, parameters: Parameters, x: Tensor, attend: (i: number, heads: Heads) => Tensor): Tensor {
  let y = x;
  for (let i = 0; i < network.depth; i++) {
    const [q, k, v] = tf.split(linear(parameters, `blocks.${i}.qkv`, layerNorm(y)), 3, -1) as [Tensor, Tensor, Tensor];
    y = tf.add(y, linear(parameters, `blocks.${i}.out`, attend(i, { q, k, v, heads: network.heads })));
    y = tf.add(y, linear(parameters, `blocks.${i}.down`, gelu(linear(parameters, `blocks.${i}.up`, layerNorm(y)))));
  }
  return y;
}

/** Tokens int32 [b, m] -> [b, m, width]. A product with one-hot rows: exact, and its gradient is a plain matrix product. */
function embedTokens(parameters: Parameters, tokens: Tensor): Tensor {
  const [codes, width] = parameter(parameters, "token.kernel").shape as [number, number];
  const choice = tf.oneHot(tf.reshape(tokens, [-1]) as never, codes) as Tensor;
  return tf.reshape(linear(parameters, "token", choice), [...tokens.shape, width]);
}

/** x [b, m, width] with the positions of places `from` on. */
function placed(parameters: Parameters, x: Tensor, from: number): Tensor {
  const [, m, width] = x.shape as [number, number, number];
  return tf.add(x, tf.slice(parameter(parameters, "position"), [from, 0], [m, width]));
}

/** What stands in front of the tokens: x [b, p, width], and which of the places are nothing but padding, 1 [b, p]. */
interface Prefix {
  x: Tensor;
  padding?: Tensor;
}

function prefix(spec: PriorSpec, parameters: Parameters, given: Record<string, Tensor>, b: number): Prefix {
  const embedded: Embedded[] = priorEncoders(spec).map((encoder) => encoder.encode(parameters, given));
  const { width } = spec.network;
  let start = tf.mul(parameter(parameters, "start"), tf.ones([b, width])) as Tensor;
  for (const { vector } of embedded) if (vector) start = tf.add(start, linear(parameters, "vector", vector));
  const last = tf.reshape(start, [b, 1, width]);
  const [sequence] = embedded.flatMap(({ sequences = [] }) => sequences);
  if (!sequence) return { x: last };
  const x = tf.concat([linear(parameters, "sequence", sequence.tokens), last], 1);
  if (!sequence.mask) return { x };
  // A dropped condition is the same whichever caption it stands for: how long that was must not show.
  const dropped = tf.reshape(tf.sub(1, given.keep as Tensor), [b, 1]);
  return { x, padding: tf.concat([tf.sub(1, tf.maximum(sequence.mask, dropped)), tf.zeros([b, 1])], 1) };
}

/** The bias [b, 1, 1, places] that hides padding in front of the tokens. */
function hiddenPlaces({ x, padding }: Prefix, places: number): Tensor {
  const [b, p] = x.shape as [number, number];
  if (!padding) return tf.zeros([b, 1, 1, places]);
  const all = places > p ? tf.concat([padding, tf.zeros([b, places - p])], 1) : padding;
  return tf.reshape(tf.mul(all, HIDDEN), [b, 1, 1, places]);
}

/** The bias [1, 1, m, m] by which each of m places sees itself and those before it. */
function causal(m: number): Tensor {
  const values = Float32Array.from({ length: m * m }, (_, at) => (at % m > Math.floor(at / m) ? HIDDEN : 0));
  return tf.tensor(values, [1, 1, m, m]);
}

/** x [b, m, width] and `count` places of zeros after it. */
function followed(x: Tensor, count: number): Tensor {
  const [b, , width] = x.shape as [number, number, number];
  return count > 0 ? tf.concat([x, tf.zeros([b, count, width])], 1) : tf.clone(x);
}
