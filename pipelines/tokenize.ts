/**
 * pipeline tokenize --data LATENTS --tokenizer RUN --out TOKENS
 *
 * shards of latents | tokenizer | token store
 */
import type { Context } from "../schemas/events.ts";
import { Failure } from "../schemas/failure.ts";
import { version } from "../schemas/package.ts";
import type { Settings } from "../schemas/settings.ts";
import { type Loss, tokenizeShards, tokenManifestOf, writeTokenShards } from "../stages/tokenize/tokenize.ts";
import { drain, pull } from "../stages/flow/mod.ts";
import { codesInWords, createCodeCounts } from "../stages/inspect/codes.ts";
import { inFolder } from "../stages/runs/folder.ts";
import { readCodec, readImageTokenizer } from "../stages/runs/model.ts";
import { latentSettings, writeDescriptions } from "../stages/runs/store-settings.ts";
import { openTokenizer } from "../stages/sample/tokenizer.ts";
import { openLatentStore } from "../store/rows/latents.ts";
import { readShard } from "../store/shards/store.ts";
import { readSummary, type Summary } from "../store/shards/summary.ts";
import { createTokenStore } from "../store/rows/tokens.ts";
import { finishWork, planWork, type Work } from "../store/making/work.ts";

interface Request {
  /** A finished latent store. */
  data: string;
  /** RUN of `pretrain tokenizer`. */
  tokenizer: string;
  out: string;
  work?: Work;
  settings: Settings;
  context: Context;
}

/**
 * Makes the tokens of a finished latent store, of which a prior learns: shard s of the one becomes shard s of the other, with the
 * same ids and failures. Goes on where an earlier run stopped; the result is the same, also where several processes make a share
 * each. Answers undefined when shards are left to other shares. Throws a Failure where the tokenizer reads other latents.
 */
export async function tokenize(options: Request): Promise<Summary | undefined> {
  const { out, work = {}, context } = options;
  return inFolder({ folder: out, kind: "tokens", command: "tokenize", shared: !work.repair, context }, () => fill({ ...options, work }));
}

async function fill(options: Request & { work: Work }): Promise<Summary | undefined> {
  const { data, tokenizer: run, out, work, settings, context } = options;
  const { report, signal } = context;
  const latents = await openLatentStore({ folder: data });
  const contents = (await readSummary(latents))?.contents;
  if (!contents) throw new Failure(`Cannot tokenize ${data}: the store is unfinished. Repeat the ingest command that made it.`);
  const { description, weights } = await readImageTokenizer(run);
  const codec = await readCodec(run, context);
  const manifest = tokenManifestOf({
    latents: { store: latents, contents },
    tokenizer: description,
    codec: codec.description,
    run,
    settings,
    version: version(),
  });
  const store = await createTokenStore({ folder: out, manifest, repair: work.repair });
  await writeDescriptions({ folder: out, codec, tokenizer: { description, weights }, settings: latentSettings(settings), context });

  const { shards, repaired, retried } = await planWork(store, { ...work, ...context, stage: "tokenize" });
  const wanted = shards.filter((shard) => !retried.has(shard)); // what failed is missing in the latents, and stays so
  const loss: Loss = { sum: 0, values: 0 };
  if (wanted.length > 0) {
    const tokenizer = await openTokenizer({ path: run, engine: settings.engine, context, batch: settings.encoder.batch });
    try {
      await drain(pull(() => wanted).pipe(tokenizeShards({ latents, tokenizer, loss }), writeTokenShards({ store, report })), { signal });
    } finally {
      await tokenizer.close();
    }
  }
  const summary = await finishWork(store, { ...work, ...context, repaired, stage: "tokenize" });
  if (!summary) return undefined;
  const counts = createCodeCounts(description.config.codes);
  for (let shard = 0; shard < store.shards; shard++) for (const { tokens } of await readShard(store, shard)) counts.add(tokens);
  const { rows, rejected, bytes } = summary;
  report({
    type: "result",
    stage: "tokenize",
    values: {
      out,
      rows,
      rejected,
      shards: summary.shards,
      bytes,
      "tokens an image": manifest.shape[0] * manifest.shape[1],
      "codes used": codesInWords(counts.counts()),
      ...(loss.values > 0 && { "lost of the latents' variance": Number((loss.sum / loss.values).toPrecision(4)) }),
    },
  });
  return summary;
}
