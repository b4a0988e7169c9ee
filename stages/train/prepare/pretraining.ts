/** What the pretrainings share: a finished latent store to train on, and where the result goes. */
import type { Job, Subject } from "../../../methods/method.ts";
import { type AnyMethod, methodFor, optimiserOf, ownSettings } from "../../../methods/registry.ts";
import type { Conditions } from "../../../models/conditions.ts";
import { checkFit } from "../../../recipes/fit.ts";
import type { Context } from "../../../schemas/events.ts";
import { Failure } from "../../../schemas/failure.ts";
import type { OptimiserSettings, Settings, TrainingSettings } from "../../../schemas/settings.ts";
import type { LatentManifest } from "../../../schemas/manifest.ts";
import { openLatentStore, readLatents } from "../../../store/latents.ts";
import type { Store } from "../../../store/store.ts";
import { readSummary, type Summary } from "../../../store/summary.ts";
import type { Network } from "../../runs/model.ts";
import { identityOf } from "../identity.ts";
import { FINISHED, latentRows, type Scale } from "../rows.ts";
import type { Training } from "../training.ts";

/** What `pretrain` makes. */
export type What = keyof Settings["pretrain"];

/** A finished latent store, and what is to be made of it. */
export interface Pretraining {
  what: What;
  store: Store<LatentManifest>;
  summary: Summary;
  data: string;
  out: string;
  method: AnyMethod;
  own: never;
  optimiser: OptimiserSettings;
  settings: Settings;
  context: Context;
}

/** Opens the store. Throws a Failure when it is unfinished, or does not fit the settings. */
export async function openPretraining(options: {
  what: What;
  data: string;
  out: string;
  settings: Settings;
  context: Context;
}): Promise<Pretraining> {
  const { what, data, settings } = options;
  const store = await openLatentStore({ folder: data });
  const summary = await readSummary(store);
  if (!summary) throw new Failure(`Cannot pretrain on ${data}: the store is unfinished. Repeat the ingest command that made it.`);
  const { imageSize, shape } = store.manifest;
  checkFit({ settings: { ...settings, images: { ...settings.images, size: imageSize } }, parts: [what], shape });
  const method = methodFor(what);
  const group = settings.pretrain[what];
  return { ...options, store, summary, method, own: ownSettings(method, group), optimiser: optimiserOf(group) };
}

/** The parts of a training that are the same for everything that is made of a latent store. */
export function trainingOn(
  pretraining: Pretraining,
  options: {
    subject: Subject;
    conditions: Pick<Conditions, "inputs">;
    scale?: Scale;
    start?: Training<never>["start"];
    data?: unknown;
    /** Frozen networks that the method looks at, with their hashes for the identity. */
    frozen?: Readonly<Record<string, Network<{ hash: string }>>>;
  },
): Omit<Training<void>, "write" | "close"> {
  const { what, store, summary, out, method, own, optimiser, settings } = pretraining;
  const { subject, conditions, scale, start, frozen = {} } = options;
  const ofFrozen = <T>(of: (network: Network<{ hash: string }>) => T): Record<string, T> =>
    Object.fromEntries(Object.entries(frozen).map(([role, network]) => [role, of(network)]));
  const { seed, engine } = settings;
  const group: TrainingSettings = settings.pretrain[what];
  const job: Job<never> = { settings: own, optimiser, seed, subject };
  return {
    ...{
      name: what,
      out,
      method,
      job,
      weights: ofFrozen(({ weights }) => weights),
      settings: group,
      group: `pretrain.${what}`,
      engine,
      threads: () => engine.threads,
    },
    ...(start && { start }),
    identity: identityOf({
      method,
      job,
      settings: group,
      data: { store: summary.contents, start: options.data, ...ofFrozen(({ description }) => description.hash) },
    }),
    batches: (fromStep, follow) =>
      latentRows({ store, conditions, ...(scale && { scale }), order: { ...FINISHED, optimiser, seed, fromStep, follow } }),
  };
}

/** Every caption of a store, in order. */
export async function captionsOf(store: Store<LatentManifest>): Promise<string[]> {
  const captions: string[] = [];
  for await (const { caption } of readLatents(store)) if (caption) captions.push(caption);
  return captions;
}
