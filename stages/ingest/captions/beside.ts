import { parsed } from "./jsonl.ts";
import { NOT_UTF8, textOf } from "./text.ts";

/** The caption in a text beside an image. Throws an Error that says why there is none. */
export function textCaption(bytes: Uint8Array): string {
  const text = textOf(bytes);
  if (text === undefined) throw new Error(NOT_UTF8);
  if (text.trim() === "") throw new Error("the text is empty");
  return text;
}

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
