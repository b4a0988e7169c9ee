/**
 * A spiece.model: the unigram vocabulary (Kudo 2018) that SentencePiece writes, a message of Protocol Buffers
 * (sentencepiece_model.proto).
 */
import { type Field, fieldsOf } from "../../engine/protobuf.ts";

export interface UnigramVocabulary {
  /** Pieces with their log probabilities, by id. */
  pieces: [text: string, score: number][];
  /** The piece that stands for what cannot be spelt. */
  unknown: number;
  /** How characters are normalised, compiled; empty where they stay as they are. */
  charsmap: Uint8Array;
}

/** Numbers of fields, by message. */
const MODEL = { pieces: 1, trainer: 2, normalizer: 3 } as const;
const PIECE = { text: 1, score: 2, type: 3 } as const;
const TRAINER = { modelType: 3 } as const;
const NORMALIZER = { charsmap: 2 } as const;

const UNIGRAM = 1n;
const UNKNOWN = 2n;

/** Reads the bytes of a spiece.model. Throws an Error that says what is wrong where they are none, or of another kind than unigram. */
export function readUnigram(bytes: Uint8Array): UnigramVocabulary {
  const model = fieldsOf(bytes);
  const [trainer] = messages(model, MODEL.trainer);
  if (trainer && (valueOf(trainer, TRAINER.modelType) ?? UNIGRAM) !== UNIGRAM) throw new Error("it is no unigram vocabulary");
  const [normalizer = []] = messages(model, MODEL.normalizer);
  const pieces = messages(model, MODEL.pieces);
  const unknown = pieces.findIndex((piece) => valueOf(piece, PIECE.type) === UNKNOWN);
  if (unknown < 0) throw new Error("it has no piece for the unknown");
  return {
    pieces: pieces.map((piece) => [textOf(piece, PIECE.text), Number(valueOf(piece, PIECE.score) ?? 0)]),
    unknown,
    charsmap: bytesOf(normalizer, NORMALIZER.charsmap),
  };
}

const valueOf = (fields: Field[], number: number): Field["value"] | undefined => fields.findLast(({ field }) => field === number)?.value;

function bytesOf(fields: Field[], number: number): Uint8Array {
  const value = valueOf(fields, number);
  return value instanceof Uint8Array ? value : new Uint8Array();
}

const textOf = (fields: Field[], number: number): string => Buffer.from(bytesOf(fields, number)).toString("utf8");

const messages = (fields: Field[], number: number): Field[][] =>
  fields.filter(({ field }) => field === number).map(({ value }) => (value instanceof Uint8Array ? fieldsOf(value) : []));
