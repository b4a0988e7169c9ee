/** What a model's text encoder is given for a caption, by the tokenizers that onestep.json names. */
import { createTokenizer } from "../../../../models/text/tokenizer.ts";
import type { OnestepJson } from "../../../../schemas/onestep-json.ts";
import type { TokenizerData } from "../../../../schemas/model.ts";
import type { Values } from "../drawing.ts";
import type { Loading, Site } from "../messages.ts";

/** As much of @huggingface/tokenizers as is asked here. */
interface Published {
  Tokenizer: new (json: unknown, config: object) => { encode: (text: string) => { ids: number[] } };
}

type About = Extract<OnestepJson["condition"], { kind: "caption" }>["tokenizers"][number];

/** Loads what published tokenizers need; `base` is the site's root. What it answers turns a caption into inputs of text.onnx. */
export async function captionReader(
  { model: { condition }, tokenizers }: Loading,
  site: Site,
  base: string,
): Promise<(caption: string) => Values> {
  if (!("tokenizers" in condition)) return () => ({});
  const published = site.tokenizers === undefined ? undefined : ((await import(new URL(site.tokenizers, base).href)) as Published);
  const readers = condition.tokenizers.map((about, i) => {
    if (about.kind === "huggingface" && published) return publishedReader(published, tokenizers[i], about);
    const { encode } = createTokenizer(tokenizers[i] as TokenizerData);
    return (caption: string): Values => ({ [about.input]: encode(caption, about.length) });
  });
  return (caption) => Object.assign({}, ...readers.map((read) => read(caption)));
}

function publishedReader({ Tokenizer }: Published, json: unknown, about: About): (caption: string) => Values {
  const { input, length, end, padding, mask, isLowered } = about;
  const tokenizer = new Tokenizer(json, {});
  return (caption) => {
    const { ids } = tokenizer.encode(isLowered ? caption.toLowerCase().trim() : caption);
    const kept = ids.length > length ? [...ids.slice(0, length - 1), end] : ids;
    const padded = new Int32Array(length).fill(padding);
    padded.set(kept);
    return { [input]: padded, ...(mask && { [mask]: Float32Array.from(padded, (_, i) => (i < kept.length ? 1 : 0)) }) };
  };
}
