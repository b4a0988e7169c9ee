/** Whether an exported folder draws the pictures that this package draws: by ONNX Runtime here, and by Python's where there is one. */
import { cpus } from "node:os";
import { createRequire } from "node:module";
import { noiseFor } from "../../../models/diffusion/sample-noise.ts";
import { planOf } from "../../../models/diffusion/sampler-plan.ts";
import type { Context } from "../../../schemas/events.ts";
import { Failure } from "../../../schemas/failure.ts";
import type { OnestepJson } from "../../../schemas/onestep-json.ts";
import type { Settings } from "../../../schemas/settings.ts";
import type { Codec, Denoiser } from "../../runs/model.ts";
import { openCodes } from "../../sample/codes.ts";
import { openConditions } from "../../sample/conditions.ts";
import { createPictureDecoder } from "../../sample/picture-decoder.ts";
import { openStoresTokenizer } from "../../sample/tokenizer.ts";
import type { DrawnFrom, ExportedWorker } from "./exported.ts";
import { startSampler } from "../../workers/start-sampler.ts";
import { startWorker } from "../../workers/start.ts";
import { drawByPython } from "./python.ts";
import type { ConditionRows, Drawable, Drawn } from "./runner.ts";

/** Pictures that are compared, and those of the first batch: two sizes show that the batch is free. */
const [ROWS, FIRST] = [3, 2];

/** The largest difference that is let out, as schemas/onestep-json.ts says of what. */
const TOLERANCE = { single: 1e-4, half: 2e-2 } as const;

type Measured = Pick<OnestepJson, "parity" | "speed">;

/**
 * Draws some pictures by this package's own sampling and by the files of `folder`, and compares latents and images; measures the time
 * of a picture too. Throws a Failure where they are further apart than the precision allows.
 */
export async function measureExport(options: {
  run: string;
  folder: string;
  json: Drawable & Pick<OnestepJson, "precision" | "condition">;
  model: Denoiser;
  codec: Codec;
  ids?: (captions: readonly (string | null)[]) => ConditionRows;
  settings: Settings;
  context: Context;
}): Promise<Measured & { checker?: string }> {
  const { run, folder, json, context } = options;
  const { signal } = context;
  const { from, drawn } = await drawHere(options);
  const range = { latent: rangeOf(drawn.latent), image: rangeOf(drawn.image) };
  if (!Number.isFinite(range.latent + range.image)) {
    throw new Failure(
      `Cannot export ${run}: what it draws here holds values that are not finite. Export a model whose training did not diverge.`,
    );
  }
  const { threads } = options.settings.engine;
  const worker = await startWorker<ExportedWorker>({
    name: "exported model",
    module: new URL("./exported.ts", import.meta.url),
    remedy: "export on a machine with more memory",
    options: { folder, json, threads },
    signal,
  });
  try {
    const parts = [rowsOf(from, 0, FIRST), rowsOf(from, FIRST, ROWS)];
    const answers: Drawn[] = [];
    for (const part of parts) answers.push(await worker.call("draw", part));
    const node = { latent: joined(answers.map(({ latent }) => latent)), image: joined(answers.map(({ image }) => image)) };
    const python = await drawByPython({ folder, json, from, signal });
    const found = [{ runtime: NODE, drawn: node }, ...(python.drawn ? [{ runtime: String(python.runtime), drawn: python.drawn }] : [])];
    const tolerance = TOLERANCE[json.precision];
    const differences = found.map(({ runtime, drawn: theirs }) => {
      const difference = { latent: apart(drawn.latent, theirs.latent), image: apart(drawn.image, theirs.image) };
      for (const what of ["latent", "image"] as const) {
        // float32's rounding is a share of the latents, which some networks make wide; a decoder hands a part of it on.
        const widened = tolerance * Math.max(1, range.latent / 2);
        const most = json.precision === "half" ? tolerance * range[what] : what === "latent" ? widened : Math.min(widened, 10 * tolerance);
        if (difference[what] <= most) continue; // not so of NaN
        const remedy = json.precision === "half" ? "Export it with --precision single" : "Report it with model.json";
        throw new Failure(
          `Cannot export ${run}: by ${runtime} the largest difference of its ${what}s from this package's own is ` +
            `${difference[what].toPrecision(3)}, and ${most.toPrecision(2)} is allowed. ${remedy}.`,
        );
      }
      return { runtime, ...difference, rows: ROWS };
    });
    const speed = await worker.call("speed", rowsOf(from, 0, 1));
    const { generator, decoder, text, image } = speed;
    const machine = `${cpus()[0]?.model.trim() ?? "unknown processor"}, ${threads || cpus().length} threads, ${NODE}`;
    return {
      parity: { tolerance, range, differences },
      speed: { machine, generator, decoder, ...(json.graphs.text && { text }), image },
      ...(python.checker && { checker: python.checker }),
    };
  } finally {
    await worker.close();
  }
}

const NODE = `onnxruntime-node ${(createRequire(import.meta.url)("onnxruntime-node/package.json") as { version: string }).version}`;

/** The same pictures by the product's own way, and all that they were drawn from. */
async function drawHere(options: {
  run: string;
  json: Pick<OnestepJson, "condition">;
  model: Denoiser;
  codec: Codec;
  /** What text.onnx takes of captions, where conditions do not hold it. */
  ids?: (captions: readonly (string | null)[]) => ConditionRows;
  settings: Settings;
  context: Context;
}): Promise<{ from: DrawnFrom; drawn: Drawn }> {
  const { run, json, model, codec, ids, settings, context } = options;
  const { description, weights } = model;
  const { spec, statistics } = description;
  const { engine, simulate } = settings;
  const plan = planOf(description, simulate, { name: run });
  const conditions = openConditions({ description, choice: simulate, engine, signal: context.signal });
  const codes = openCodes(conditions, () => openStoresTokenizer({ folder: run, engine, context }));
  const sampler = await startSampler({ name: "sampler", spec, weights, plan, batch: ROWS, engine, signal: context.signal });
  const decoder = await createPictureDecoder({ codec, engine, context, spec, statistics, batch: ROWS });
  try {
    const { label, caption } = conditions.spread(ROWS, description.captions, settings.seed);
    // A published pipeline takes no text, and an empty one, for its negative prompt: which the graphs know unless another was given.
    const without = simulate.negative === undefined ? 1 : 0;
    const asked = { label, caption: ids ? caption.map((text, i) => text || (i < without ? "" : `picture ${i + 1}`)) : caption };
    const tokens = json.condition.kind === "tokens" ? someTokens(json.condition) : undefined;
    const bag = tokens ? await codes.ofTokens(tokens) : { ...(await conditions.inputs(asked)), ...ids?.(asked.caption) };
    const noise = noiseFor({ seed: settings.seed, stream: "samples", rows: ROWS, spec, plan });
    const latent = await sampler.call("sample", { ...noise, rows: ROWS, conditions: bag });
    const image = (await decoder.values(latent)).map((value) => Math.min(1, Math.max(-1, value)));
    return { from: { rows: ROWS, noise, conditions: tokens ? { tokens } : bag }, drawn: { latent, image } };
  } finally {
    await Promise.all([conditions.close(), codes.close(), sampler.close(), decoder.close()]);
  }
}

/** Tokens of `ROWS` pictures from all over the codebook. */
function someTokens({ grid: [height, width], codes }: Extract<OnestepJson["condition"], { kind: "tokens" }>): Int32Array {
  const count = ROWS * height * width;
  return Int32Array.from({ length: count }, (_, i) => Math.floor((i * codes) / count));
}

/** Some of the rows. */
function rowsOf({ rows, noise, conditions }: DrawnFrom, begin: number, end: number): DrawnFrom {
  const cut = <T extends Float32Array | Int32Array>(all: T): T => all.slice((begin * all.length) / rows, (end * all.length) / rows) as T;
  const { noise: first, fresh, prior } = noise;
  return {
    rows: end - begin,
    noise: { noise: cut(first), ...(fresh && { fresh: fresh.map(cut) }), ...(prior && { prior: cut(prior) }) },
    conditions: Object.fromEntries(Object.entries(conditions).map(([name, values]) => [name, cut(values)])) as ConditionRows,
  };
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** The largest absolute difference; NaN where there is one, or the lengths differ. */
function apart(a: Float32Array, b: Float32Array): number {
  if (a.length !== b.length) return Number.NaN;
  return a.reduce((most, value, i) => {
    const difference = Math.abs(value - (b[i] as number));
    return Number.isNaN(difference) ? Number.NaN : Math.max(most, difference); // Math.max keeps a NaN that came before
  }, 0);
}

/** The largest value less the smallest; NaN where one is not a number. */
function rangeOf(values: Float32Array): number {
  let [least, most] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of values) [least, most] = [Math.min(least, value), Math.max(most, value)]; // both keep a NaN
  return most - least;
}
