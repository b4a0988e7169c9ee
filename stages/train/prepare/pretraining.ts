/** What the pretrainings share: a finished store to train on, and where the result goes. */
import type { Batch, Job, Subject } from "../../../methods/method.ts";
import { type AnyMethod, methodFor, optimiserOf, ownSettings } from "../../../methods/registry.ts";
import { checkFit } from "../../../recipes/fit.ts";
import type { Context } from "../../../schemas/events.ts";
import { Failure } from "../../../schemas/failure.ts";
import type { OptimiserSettings, Settings, TrainingSettings } from "../../../schemas/settings.ts";
import type { LatentManifest, TokenManifest } from "../../../schemas/manifest.ts";
import { openLatentStore } from "../../../store/rows/latents.ts";
import { readShard, type Store } from "../../../store/shards/store.ts";
import { readSummary, type Summary } from "../../../store/shards/summary.ts";
import { openTokenStore } from "../../../store/rows/tokens.ts";
import type { Network } from "../../runs/model.ts";
import { identityOf } from "../identity.ts";
import { FINISHED, type Order } from "../rows.ts";
import type { Training } from "../training.ts";

/** What `pretrain` makes. */
export type What = keyof Settings["pretrain"];

/** A finished store of latents or tokens, and what is to be made of it. */
export interface Pretraining<M extends LatentManifest | TokenManifest = LatentManifest> {
  what: What;
  store: Store<M>;
  summary: Summary;
  data: string;
  out: string;
  method: AnyMethod;
  own: never;
  optimiser: OptimiserSettings;
  settings: Settings;
  context: Context;
}

/** What is asked for. */
export type Asked = Pick<Pretraining, "what" | "data" | "out" | "settings" | "context">;

/** Opens the latent store. Throws a Failure when it is unfinished, or does not fit the settings. */
export async function openPretraining(options: Asked): Promise<Pretraining> {
  return openOn(await openLatentStore({ folder: options.data }), options, "ingest");
}

/** The same of a token store. */
export async function openTokenPretraining(options: Asked): Promise<Pretraining<TokenManifest>> {
  return openOn(await openTokenStore({ folder: options.data }), options, "tokenize");
}

async function openOn<M extends LatentManifest | TokenManifest>(store: Store<M>, options: Asked, maker: string): Promise<Pretraining<M>> {
  const { what, data, settings } = options;
  const summary = await readSummary(store);
  if (!summary) throw new Failure(`Cannot pretrain on ${data}: the store is unfinished. Repeat the ${maker} command that made it.`);
  const { imageSize, shape } = store.manifest;
  checkFit({ settings: { ...settings, images: { ...settings.images, size: imageSize } }, parts: [what], shape });
  const method = methodFor(what);
  const group = settings.pretrain[what];
  return { ...options, store, summary, method, own: ownSettings(method, group), optimiser: optimiserOf(group) };
}

/** The parts of a training that are the same for everything that is made of a store of images. */
export function trainingOn(
  pretraining: Pretraining<LatentManifest | TokenManifest>,
  options: {
    subject: Subject;
    /** The rows of each step, in this order. */
    rows: (order: Order) => AsyncIterable<Batch>;
    start?: Training<never>["start"];
    data?: unknown;
    /** Frozen networks that the method looks at, with their hashes for the identity. */
    frozen?: Readonly<Record<string, Network<{ hash: string }>>>;
  },
): Omit<Training<void>, "write" | "close"> {
  const { what, summary, out, method, own, optimiser, settings } = pretraining;
  const { subject, rows, start, frozen = {} } = options;
  const ofFrozen = <T>(of: (network: Network<{ hash: string }>) => T): Record<string, T> =>
    Object.fromEntries(Object.entries(frozen).map(([role, network]) => [role, of(network)]));
  const { seed, engine } = settings;
  const group: TrainingSettings = settings.pretrain[what];
  const job: Job<never> = { settings: own, optimiser, seed, subject };
  return {
    name: what,
    out,
    method,
    job,
    weights: ofFrozen(({ weights }) => weights),
    settings: group,
    group: `pretrain.${what}`,
    engine,
    threads: () => engine.threads,
    ...(start && { start }),
    identity: identityOf({
      method,
      job,
      settings: group,
      data: { store: summary.contents, start: options.data, ...ofFrozen(({ description }) => description.hash) },
    }),
    batches: (fromStep, follow) => rows({ ...FINISHED, optimiser, seed, fromStep, follow }),
  };
}

/** Every caption of a store, in order. */
export async function captionsOf(store: Store<LatentManifest> | Store<TokenManifest>): Promise<string[]> {
  const captions: string[] = [];
  for (let shard = 0; shard < store.shards; shard++) {
    for (const { caption } of await readShard(store as Store, shard)) if (caption) captions.push(caption);
  }
  return captions;
}
