/** Whether what stands in one folder belongs together: a model and its codec, a store and its codec. */
import type { CodecDescription } from "../../models/codecs/codecs.ts";
import { Failure } from "../../schemas/failure.ts";
import { parsedJson } from "../../schemas/json.ts";
import { differences, type LatentManifest, type Manifest, type TokenManifest } from "../../schemas/manifest.ts";
import { within } from "../../store/places/place.ts";
import { readText } from "../../store/places/text.ts";

type Shape = readonly [number, number, number];

/** Throws a Failure where the codec beside a model makes other latents than the model's network reads. */
export function checkLatents(path: string, shape: Shape, codec: CodecDescription): void {
  if (String(codec.shape) === String(shape)) return;
  throw new Failure(
    `Cannot use ${path}: its network reads latents of ${shape.join("x")}, and the codec.json beside it makes latents of ` +
      `${codec.shape.join("x")}. Put both files back as they were, or make the folder anew.`,
  );
}

/** Throws a Failure where the codec in a store's folder is not the one that its store.json speaks of. */
export async function checkStoresCodec(folder: string, path: string, { kind, hash, imageSize, shape }: CodecDescription): Promise<void> {
  const manifest = await manifestIn(folder);
  if (!manifest) return;
  const differing =
    manifest.kind === "tokens"
      ? differences({ encoder: { kind, hash }, imageSize }, { encoder: codecOf(manifest), imageSize: manifest.imageSize })
      : manifest.kind === "latents"
        ? differences(
            { encoder: { kind, hash }, imageSize, shape },
            { encoder: codecOf(manifest), imageSize: manifest.imageSize, shape: manifest.shape },
          )
        : differences({ shape }, { shape: manifest.shape });
  if (differing.length === 0) return;
  throw new Failure(
    `Cannot trust ${path}: it is not the codec of the store in ${folder}, by its store.json (${differing.join("; ")}). ` +
      "Put codec.json and codec.safetensors back as they were.",
  );
}

const codecOf = ({ encoder }: Partial<LatentManifest | TokenManifest>) => ({ kind: encoder?.kind, hash: encoder?.hash });

/** Throws a Failure where the tokenizer in a store's folder is not the one that its store.json speaks of. */
export async function checkStoresTokenizer(folder: string, path: string, { hash }: { hash: string }): Promise<void> {
  const manifest = await manifestIn(folder);
  if (manifest?.kind !== "tokens" || manifest.tokenizer?.hash === hash) return;
  throw new Failure(
    `Cannot trust ${path}: it is not the tokenizer of the store in ${folder}, by its store.json. ` +
      "Put tokenizer.json and tokenizer.safetensors back as they were.",
  );
}

/** The description of the store in a folder; undefined where there is none that can be read: whoever opens it hears why. */
async function manifestIn(folder: string): Promise<Partial<Manifest> | undefined> {
  const manifest = parsedJson(await readText(within(folder, "store.json")));
  return (manifest ?? undefined) as Partial<Manifest> | undefined;
}
