/** Tiny run folders and latent stores for the tests, in a temporary folder that is removed at exit. */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { normals } from "../../schemas/numbers/philox.ts";
import { hashWeights, type Weights, zerosLike } from "../../engine/weights.ts";
import { type DenoiserSpec, initDenoiser } from "../../models/denoiser.ts";
import { createTokenizer, learnTokenizer } from "../../models/text/tokenizer.ts";
import type { Context, PipelineEvent } from "../../schemas/events.ts";
import type { Settings } from "../../schemas/settings.ts";
import { settingsSchema } from "../../recipes/settings.ts";
import type { LatentManifest } from "../../schemas/manifest.ts";
import { openCodec, writeCodec, writeModel } from "../../stages/runs/model.ts";
import type { FailedRow } from "../../store/records/journal.ts";
import { createLatentStore } from "../../store/rows/latents.ts";
import { idRange, type Store, writeShard } from "../../store/shards/store.ts";
import { freshFolder } from "../fixtures/folders.ts";

export { freshFolder };

export const SIZE = 8;
export const LENGTH = SIZE * SIZE * 3;
export const CLASSES = ["cat", "dog", "owl"];
export const CAPTIONS = ["a red cat", "a blue dog at night", "two owls", "a cat and a dog", "nothing at all"];
export const STATISTICS = { mean: [0.1, 0, -0.2], std: [0.4, 0.5, 0.6], min: [-1, -1, -1], max: [1, 1, 1], nonFinite: 0 };

type Condition = Settings["network"]["condition"];

export function settingsOf(changes: Partial<Settings["simulate"]> = {}, condition: Condition = "class"): Settings {
  return settingsSchema.parse({
    seed: 5,
    images: { size: SIZE },
    network: { patch: 4, width: 16, depth: 1, heads: 2, condition, textDepth: 1, captionTokens: 8 },
    simulate: { count: 26, rowsPerShard: 8, batch: 4, steps: 3, guidance: 1.5, ...changes },
    engine: { threads: 1 },
  });
}

/** A run folder; the zero-initialised parts of the network get random values, so that its conditions matter. */
export async function writeRun(
  options: {
    condition?: Condition;
    role?: "teacher" | "student";
    weights?: "random" | "zero" | "infinite";
    diffusion?: Partial<Settings["diffusion"]>;
  } = {},
): Promise<string> {
  const { condition = "class", role = "teacher", weights: kind = "random" } = options;
  const settings = settingsOf({}, condition);
  const tokenizer = condition === "caption" ? learnTokenizer({ captions: CAPTIONS, vocabulary: 64 }) : undefined;
  const spec: DenoiserSpec = {
    shape: [SIZE, SIZE, 3],
    network: settings.network,
    diffusion: { ...settings.diffusion, ...options.diffusion },
    classes: condition === "class" ? CLASSES : [],
    vocabulary: tokenizer ? createTokenizer(tokenizer).size : 0,
  };
  const weights = { random, zero: zerosLike, infinite }[kind](initDenoiser(spec, 1));
  const folder = freshFolder();
  await writeModel(folder, {
    weights,
    description: {
      role,
      hash: hashWeights(weights),
      spec,
      statistics: STATISTICS,
      ...(tokenizer && { tokenizer }),
      captions: condition === "caption" ? CAPTIONS : [],
    },
  });
  await writeCodec(folder, await openCodec(settings));
  return folder;
}

function random(weights: Weights): Weights {
  return Object.fromEntries(
    Object.entries(weights).map(([name, { shape, data }]) => {
      const jitter = normals({ seed: 3, stream: name, length: data.length });
      return [name, { shape, data: data.map((value, i) => value + 0.1 * (jitter[i] as number)) }];
    }),
  );
}

/** Weights that are finite, so that they are loaded, and whose products are not. */
function infinite(weights: Weights): Weights {
  return Object.fromEntries(Object.entries(weights).map(([name, { shape, data }]) => [name, { shape, data: data.map(() => 3e38) }]));
}

/** An empty latent store of 20 images in shards of 4, of which every seventh is rejected. */
export async function emptyLatents(classes = CLASSES): Promise<Store<LatentManifest>> {
  return createLatentStore({
    folder: freshFolder(),
    manifest: {
      shape: [SIZE, SIZE, 3],
      dtype: "float32",
      entries: 20,
      rowsPerShard: 4,
      classes,
      imageSize: SIZE,
      encoder: { kind: "pixel", hash: "pixel" },
      source: { fingerprint: "s" },
      engine: { device: "cpu", version: "test" },
    },
  });
}

/** What image i shows; undefined where it was rejected. */
export function imageOf(index: number): { label: number; caption: string } | undefined {
  return index % 7 === 3 ? undefined : { label: (index * index) % 3, caption: CAPTIONS[(index * 3) % 5] as string };
}

export async function fillLatents(store: Store<LatentManifest>, shards = [0, 1, 2, 3, 4]): Promise<void> {
  for (const shard of shards) {
    const { from, to } = idRange(store.manifest, shard);
    const ids = Array.from({ length: to - from }, (_, i) => from + i);
    const failed: FailedRow[] = ids.filter((id) => !imageOf(id)).map((id) => ({ id, reason: "torn" }));
    const rows = ids.flatMap((index) => {
      const image = imageOf(index);
      return image ? [{ index, name: `${index}.png`, ...image, latent: new Float32Array(LENGTH) }] : [];
    });
    await writeShard(store, { shard, rows, failed });
  }
}

export function contextOf(onEvent: (event: PipelineEvent) => void = () => {}): Context & { controller: AbortController } {
  const controller = new AbortController();
  return { controller, signal: controller.signal, report: onEvent };
}

/** Every file of a folder with its hash. */
export function contentsOf(folder: string): Record<string, string> {
  const names = readdirSync(folder, { recursive: true }) as string[];
  const files = names.sort().filter((name) => statSync(join(folder, name)).isFile());
  return Object.fromEntries(
    files.map((name) => [
      name,
      createHash("sha256")
        .update(readFileSync(join(folder, name)))
        .digest("hex"),
    ]),
  );
}
