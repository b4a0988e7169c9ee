/**
 * Compiles the programs of methods, for a DiT told captions or a U-Net told classes, codecs, and of published pipelines in the folder given
 * a pass, the text encoders and the codec, on WebGPU with ONESTEP_STRICT=1: what would run a node on the CPU is refused. A line of JSON
 * each; run by placement.test.ts.
 */
import { existsSync } from "node:fs";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createEngine, type Engine } from "../../engine/engine.ts";
import { hashWeights } from "../../engine/weights.ts";
import type { Tensor } from "../../engine/tfjs.ts";
import { methodNames } from "../../methods/registry.ts";
import type { Codec } from "../../models/codecs/codec.ts";
import { codecFunctions } from "../../models/codecs/codecs.ts";
import { initDenoiser } from "../../models/denoiser.ts";
import { createSampling } from "../../models/diffusion/sampling.ts";
import { textShapeOf } from "../../models/families/published.ts";
import { initImageTokenizer } from "../../models/tokens/image-tokenizer.ts";
import { sidesOf } from "../../schemas/images.ts";
import { networkSettings } from "../../schemas/settings.ts";
import { compileTraining } from "../../stages/doctor/programs.ts";
import { openTextEncoders } from "../../stages/published/text.ts";
import { type Denoiser, readCodec, readDenoiser, writeCodec, writeModel } from "../../stages/runs/model.ts";
import { recordingContext, tinySettings } from "../train/fixture.ts";

const demo = new URL("../../data/demo/", import.meta.url).pathname;
const { context } = recordingContext();
const [pipelines] = process.argv.slice(2);
/** Every method on both kinds of networks, and every pipeline: two minutes, where some take twenty seconds. */
const isWhole = process.env.ONESTEP_PLACEMENT === "all";
const SOME = { tlcm: "dit", layton: "dit", yoso: "unet", sd15: "pipeline" } as Record<string, string>;

async function tried(name: string, compile: (engine: Engine) => Promise<unknown>): Promise<void> {
  const engine = await createEngine({ device: "webgpu", threads: 1, cache: false });
  try {
    console.log(JSON.stringify({ name, programs: await compile(engine) }));
  } catch (error) {
    console.log(JSON.stringify({ name, error: (error as Error).message }));
  } finally {
    await engine.dispose();
  }
}

/** Both ways through a codec with a network; 0 programs of one without. */
async function bothWays(engine: Engine, { description, weights }: Codec): Promise<number> {
  const { encode, decode } = codecFunctions(description as never) ?? {};
  if (!encode || !decode) return 0;
  const sets = { codec: engine.constants("codec", weights) };
  for (const [name, shape, apply] of [
    ["encode", [...sidesOf(description.imageSize), 3], encode],
    ["decode", description.shape, decode],
  ] as const) {
    const inputs = { x: { shape: [1, ...shape] } };
    await engine.compile({ name, sets, inputs, run: ({ codec }, { x }) => ({ outputs: { y: apply(codec, x as Tensor) } }) });
  }
  return 2;
}

const folder = await mkdtemp(join(tmpdir(), "onestep-placement-"));
try {
  const { description } = await readDenoiser(join(demo, "teacher"));
  const codec = await readCodec(join(demo, "teacher"));
  const { shape, diffusion } = description.spec;
  const config = { shape, downsample: 4, width: 8, codes: 16, dimension: 4, sigmaData: diffusion.sigmaData } as never;
  const weights = initImageTokenizer(config, 0);
  const tokenizer = { role: "tokenizer", hash: hashWeights(weights), config, statistics: description.statistics } as never;
  await writeModel(join(folder, "tokenizer"), { description: tokenizer, weights });
  await writeCodec(join(folder, "tokenizer"), codec);
  await tried("codec of the demo", (engine) => bothWays(engine, codec));
  const teacherOf = (network: object): Denoiser => {
    const spec = { ...description.spec, network: networkSettings.parse({ ...description.spec.network, ...network }) };
    return { description: { ...description, spec }, weights: initDenoiser(spec, 0) };
  };
  const teachers = {
    dit: teacherOf({ width: 16, depth: 1, heads: 2 }),
    unet: teacherOf({ kind: "unet", width: 16, depth: 1, heads: 2, multipliers: [1, 2], condition: "class" }),
  };
  for (const method of methodNames()) {
    for (const [kind, teacher] of Object.entries(teachers).filter(([kind]) => isWhole || SOME[method] === kind)) {
      const train = { method, perceptual: join(demo, "perceptual"), tokenizer: join(folder, "tokenizer"), images: folder };
      const settings = tinySettings({ train: train as never });
      await tried(`${method} of a ${kind}`, (engine) => compileTraining({ teacher, codec, settings, context, engine }));
    }
  }
} finally {
  await rm(folder, { recursive: true });
}
const published = pipelines === undefined ? [] : (await readdir(pipelines)).sort();
for (const name of published.filter(
  (name) => existsSync(join(pipelines as string, name, "model_index.json")) && (isWhole || name in SOME),
)) {
  await tried(`pipeline ${name}`, async (engine) => {
    const { description, weights } = await readDenoiser(join(pipelines as string, name), context);
    const plan = { ...tinySettings().simulate, batch: 1 };
    const network = engine.constants("network", weights);
    const { evaluations } = await createSampling({ engine, spec: description.spec, network, plan, batch: 1, unrolled: isWhole });
    return evaluations;
  });
  await tried(`texts of ${name}`, async (engine) => {
    const { spec, textEncoders } = (await readDenoiser(join(pipelines as string, name), context)).description;
    const [shape, lengths] = [textShapeOf(spec), spec.network.text?.lengths];
    if (textEncoders === undefined || !shape || !lengths) return 0;
    const { embed } = await openTextEncoders({ folder: textEncoders, lengths, shape, engine });
    return (await embed("a red shoe")).length;
  });
  if (existsSync(join(pipelines as string, name, "vae")))
    await tried(`codec of ${name}`, async (engine) => bothWays(engine, await readCodec(join(pipelines as string, name))));
}
process.exit();
