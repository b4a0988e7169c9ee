/**
 * How published pipelines turn a text into what their denoisers read: which encoders they ask, how many tokens each is given, and how
 * the answers are joined. One entry a class of pipeline, as diffusers has them.
 */
import { tf, type Tensor } from "../../engine/tfjs.ts";

/** What the encoders answer, traced, in the order of their parts; undefined of one that the folder does without. */
type Answers = readonly (Readonly<Record<string, Tensor>> | undefined)[];

/** One text encoder, by the names of its folders. */
export interface TextPart {
  encoder: "text_encoder" | "text_encoder_2" | "text_encoder_3";
  tokenizer: string;
  /** Tokens that a text is cut or padded to; as many as its tokenizer says without it. */
  length?: number;
  /** Whether padding is hidden, from the encoder and from the denoiser alike. */
  isMasked?: boolean;
  /** Whether pipelines are published without it too: zeros take its place then. */
  isOptional?: boolean;
}

/** The text side of a class of pipelines. */
export interface PublishedText {
  parts: readonly TextPart[];
  /** What becomes of a text before it is tokenized. */
  prepared?: (text: string) => string;
  /** Whether a missing negative prompt is zeros, unless model_index.json says otherwise by `force_zeros_for_empty_prompt`. */
  hasZeroNegative?: boolean;
  /** Tokens of the joined text, of those of each part. */
  length: (lengths: readonly number[]) => number;
  /** tokens [b, n, width] and, where the denoiser reads them, pooled features [b, d]. */
  join: (answers: Answers, options: { width: number; lengths: readonly number[] }) => { tokens: Tensor; pooled?: Tensor };
}

/** An output of a part that is there. Throws an Error that names the one that is missing. */
function answer(answers: Answers, part: number, output: string): Tensor {
  const found = answers[part]?.[output];
  if (found) return found;
  throw new Error(`Cannot join a text: encoder ${part + 1} has no output "${output}", only ${Object.keys(answers[part] ?? {}).join(", ")}`);
}

const first = ([length = 0]: readonly number[]): number => length;

/** The states of two CLIPs side by side: [b, n, width of both]. */
const besides = (answers: Answers): Tensor => tf.concat([answer(answers, 0, "penultimate"), answer(answers, 1, "penultimate")], 2);

const clips: readonly TextPart[] = [
  { encoder: "text_encoder", tokenizer: "tokenizer" },
  { encoder: "text_encoder_2", tokenizer: "tokenizer_2" },
];

const stableDiffusion: PublishedText = {
  parts: clips.slice(0, 1),
  length: first,
  join: (answers) => ({ tokens: answer(answers, 0, "last_hidden_state") }),
};

const stableDiffusionXl: PublishedText = {
  parts: clips,
  hasZeroNegative: true,
  length: first,
  join: (answers) => ({ tokens: besides(answers), pooled: answer(answers, 1, "text_embeds") }),
};

/**
 * Texts are lower-cased and trimmed, which is what diffusers does where its `clean_caption` is off, or on without bs4 and ftfy. What it
 * does with these, a repair of captions from the web, is not done: prompts that were typed come out alike.
 */
const pixart = (length: number): PublishedText => ({
  parts: [{ encoder: "text_encoder", tokenizer: "tokenizer", length, isMasked: true }],
  prepared: (text) => text.toLowerCase().trim(),
  length: first,
  join: (answers) => ({ tokens: answer(answers, 0, "last_hidden_state") }),
});

/** Esser et al. 2024: both CLIPs side by side, zeros up to T5's width, and T5's states after them. */
const stableDiffusion3: PublishedText = {
  parts: [...clips, { encoder: "text_encoder_3", tokenizer: "tokenizer_3", length: 256, isOptional: true }],
  length: ([clip = 0, , t5 = 0]) => clip + t5,
  join: (answers, { width, lengths }) => {
    const both = besides(answers);
    const [b, , taken] = both.shape as [number, number, number];
    const padded = tf.pad(both as never, [
      [0, 0],
      [0, 0],
      [0, width - taken],
    ]) as Tensor;
    const t5 = answers[2] ? answer(answers, 2, "last_hidden_state") : tf.zeros([b, lengths[2] as number, width]);
    const pooled = tf.concat([answer(answers, 0, "text_embeds"), answer(answers, 1, "text_embeds")], 1);
    return { tokens: tf.concat([padded, t5 as Tensor], 1), pooled };
  },
};

const flux: PublishedText = {
  parts: [clips[0] as TextPart, { encoder: "text_encoder_2", tokenizer: "tokenizer_2", length: 512 }],
  length: ([, t5 = 0]) => t5,
  join: (answers) => ({ tokens: answer(answers, 1, "last_hidden_state"), pooled: answer(answers, 0, "pooler_output") }),
};

const pipelines: Readonly<Record<string, PublishedText>> = {
  StableDiffusionPipeline: stableDiffusion,
  StableDiffusionXLPipeline: stableDiffusionXl,
  PixArtAlphaPipeline: pixart(120),
  PixArtSigmaPipeline: pixart(300),
  StableDiffusion3Pipeline: stableDiffusion3,
  FluxPipeline: flux,
};

/** The text side of a class of pipelines; undefined of one whose text side is not known here. */
export const publishedText = (pipeline: string): PublishedText | undefined =>
  Object.hasOwn(pipelines, pipeline) ? pipelines[pipeline] : undefined;

/** The classes of pipelines whose text side is known. */
export const textPipelines: readonly string[] = Object.keys(pipelines);
