/** The rows of each step, as the method needs them: triples, latents, or conditions alone. */
import type { Batch, Needs } from "../../methods/method.ts";
import { conditionedRows, type Conditions } from "../../models/conditions.ts";
import type { OptimiserSettings, OrderSettings, Settings } from "../../schemas/settings.ts";
import type { LatentManifest, TokenManifest, TripleManifest } from "../../schemas/manifest.ts";
import { latentBatches } from "../../store/rows/latents.ts";
import type { Statistics } from "../../store/records/statistics.ts";
import type { Store } from "../../store/shards/store.ts";
import type { Denoiser } from "../runs/model.ts";
import { openRowConditions } from "../simulate/row-conditions.ts";
import type { Follow } from "./training.ts";
import { tokenBatches } from "../../store/rows/tokens.ts";
import { tripleBatches } from "../../store/rows/triples.ts";

/** How latents are normalised for a teacher. */
export interface Scale {
  statistics: Statistics;
  sigmaData: number;
}

/** What a training's rows come in: their order, from which step on, and who may end it. */
export interface Order extends OrderSettings {
  seed: number;
  optimiser: OptimiserSettings;
  fromStep: number;
  follow: Follow;
  /** Is told of triples, before they are read, below which shard they lie. */
  onAsk?: ((below: number) => Promise<void>) | undefined;
}

/** A store that is finished: every shard may be drawn from at once. */
export const FINISHED: OrderSettings = { window: 16, firstShards: Number.POSITIVE_INFINITY, stepsPerShard: 1, once: false };

const ordered = ({ optimiser, follow, onAsk: _, ...order }: Order, { folder }: Store) => ({
  ...order,
  batch: optimiser.batch,
  toStep: optimiser.steps,
  signal: follow.signal,
  onWait: (shard: number) => follow.onWait(folder, shard),
});

/** Latents of images with their conditions; raw without `scale`. */
export async function* latentRows(options: {
  store: Store<LatentManifest>;
  scale?: Scale;
  conditions: Pick<Conditions, "inputs">;
  order: Order;
}): AsyncGenerator<Batch> {
  const { store, scale, conditions, order } = options;
  for await (const { step, latent, label, caption } of latentBatches(store, { ...ordered(order, store), ...(scale && { scale }) })) {
    yield { step, latent, conditions: await conditions.inputs({ label, caption }) };
  }
}

/** Tokens of images with their conditions. */
export async function* tokenRows(options: {
  store: Store<TokenManifest>;
  conditions: Pick<Conditions, "inputs">;
  order: Order;
}): AsyncGenerator<Batch> {
  const { store, conditions, order } = options;
  for await (const { step, tokens, label, caption } of tokenBatches(store, ordered(order, store))) {
    yield { step, tokens, conditions: await conditions.inputs({ label, caption }) };
  }
}

/**
 * Triples, with the teacher's states where the method asks for them, and, where the method shows them to a discriminator, real
 * images. Images come in an order of their own, from the
 * finished store: the first one is waited for at the step that needs it.
 */
async function* tripleRows(options: {
  triples: Store<TripleManifest>;
  images?: { store: Store<LatentManifest>; scale: Scale };
  needs: Needs;
  conditions: Conditions;
  order: Order;
}): AsyncGenerator<Batch> {
  const { triples, images, needs, conditions, order } = options;
  const wanted = images && needs.images;
  const real =
    wanted &&
    latentBatches(images.store, {
      ...ordered(order, images.store),
      ...FINISHED,
      window: order.window,
      batch: wanted.rows,
      scale: images.scale,
      fromStep: Math.max(order.fromStep, wanted.fromStep),
    });
  try {
    for await (const { step, noise, latent, states, ...given } of tripleBatches(triples, {
      ...ordered(order, triples),
      states: needs.trajectory,
      onAsk: order.onAsk,
    })) {
      const batch = { step, noise, latent, ...(states && { states }), conditions: await conditions.inputs(given) };
      const image = wanted && step >= wanted.fromStep ? await real?.next() : undefined;
      yield image?.value ? { ...batch, image: { latent: image.value.latent, conditions: await conditions.inputs(image.value) } } : batch;
    }
  } finally {
    await real?.return(undefined);
  }
}

/** Steps with conditions alone, of a method that needs no data: those of rows step * batch on. */
async function* conditionRows(options: {
  of: (range: { from: number; to: number }, signal: AbortSignal) => Promise<{ label?: number | null; caption?: string | null }[]>;
  conditions: Conditions;
  order: Order;
}): AsyncGenerator<Batch> {
  const { of, conditions, order } = options;
  const { batch, steps } = order.optimiser;
  for (let step = order.fromStep; step < steps; step++) {
    const rows = await of({ from: step * batch, to: (step + 1) * batch }, order.follow.signal);
    yield { step, conditions: await conditions.inputs(conditionedRows(rows)) };
  }
}

/** A student's rows: triples where there are any, or images' latents, or conditions alone, as its method needs them. */
export async function* studentRows(options: {
  needs: Needs;
  triples?: Store<TripleManifest>;
  images?: { store: Store<LatentManifest>; scale: Scale };
  conditions: Conditions;
  teacher: Denoiser;
  asked: Settings["simulate"];
  order: Order;
}): AsyncGenerator<Batch> {
  const { needs, triples, images, teacher, asked, conditions, order } = options;
  if (triples) return yield* tripleRows({ ...options, triples });
  if (images && (needs.rows === "latents" || needs.rows === "raw")) {
    const { store, scale } = images;
    return yield* latentRows({ store, conditions, ...(needs.rows === "latents" && { scale }), order });
  }
  const { of } = await openRowConditions({ teacher: teacher.description, asked, seed: order.seed });
  yield* conditionRows({ of, conditions, order });
}
