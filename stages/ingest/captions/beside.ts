import { parsed } from "./jsonl.ts";
import { NOT_UTF8, textOf } from "./text.ts";

/** The caption in a text beside an image. Throws an Error that says why there is none. */
export function textCaption(bytes: Uint8Array): string {
  const text = textOf(bytes);
  if (text === undefined) throw new Error(NOT_UTF8);
  const lines = text.trim().split("\n");
  if (lines[0] === "") throw new Error("the text is empty");
  if (lines.every((line) => box.test(line))) throw new Error("the text is a list of boxes (YOLO's labels), not a caption");
  return text;
}

const box = /^\d+(\s+-?[\d.]+(e-?\d+)?){4,}\s*$/i; // a class and the coordinates of a box or polygon

/** The caption in what img2dataset writes beside an image. Throws an Error that says why there is none. */
export function jsonCaption(bytes: Uint8Array): string {
  const text = textOf(bytes);
  if (text === undefined) throw new Error(NOT_UTF8);
  const value = parsed(text);
  if (!value) throw new Error("it is not a JSON object");
  const { text: other, caption = other } = value;
  if (typeof caption === "string" && caption.trim() !== "") return caption;
  throw new Error("a JSON file beside an image without a text under caption in it");
}
