/**
 * Every key of every published network's config counts: with an unusual value the network is refused by its config or its weights, or it
 * computes something else. Those that may have any value are named here, each with why.
 */
import { createHash } from "node:crypto";
import { cpSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type * as z from "zod";
import { createPlanner } from "../../engine/planner.ts";
import { traceProgram } from "../../engine/trace.ts";
import type { Tensor } from "../../engine/tfjs.ts";
import { applyNetwork, conditionInputs, embedConditions } from "../../models/denoiser.ts";
import { ddpm } from "../../models/families/ddpm.ts";
import { ditClass } from "../../models/families/dit-class.ts";
import { edm } from "../../models/families/edm.ts";
import { flux } from "../../models/families/flux.ts";
import { mmdit } from "../../models/families/mmdit.ts";
import { pixart } from "../../models/families/pixart.ts";
import { sdUnet } from "../../models/families/sd-unet.ts";
import type { PublishedNetwork } from "../../models/published/network.ts";
import { openPart } from "../../models/published/part-files.ts";
import { publishedNetwork } from "../../models/published/registry.ts";
import { clipTextWithProjection } from "../../models/text/clip.ts";
import { t5Encoder } from "../../models/text/t5.ts";
import { transformersKeys } from "../../models/text/transformers-config.ts";
import { isFailure } from "../../schemas/failure.ts";
import type { DenoiserSpec } from "../../schemas/model.ts";
import { checkDenoiser, checkParameters } from "../../stages/published/complete.ts";
import { withLatents } from "../../stages/published/size.ts";
import { planDenoiser } from "../../stages/runs/model.ts";
import { assert, suite } from "../harness.ts";
import { freshFolder } from "../simulate/fixture.ts";
import { pipelines } from "./golden.ts";
import { at } from "./students.ts";

const test = suite("keys of published configs");

type Config = Record<string, unknown>;

/** Of training: averages of weights, and dropout. */
const TRAINING = ["decay", "inv_gamma", "min_decay", "optimization_step", "power", "update_after_step", "use_ema_warmup", "dropout"];

/** Keys that may have any value that their schema takes. */
const INERT: Readonly<Record<string, readonly string[]>> = {
  "sdxl unet": [
    ...TRAINING,
    "upcast_attention", // float32 all the same
    ...["addition_embed_type_num_heads", "mid_block_only_cross_attention"], // of blocks that are refused
    ...["resnet_out_scale_factor", "resnet_skip_time_act"],
  ],
  "ddpm unet": [...TRAINING, "num_train_timesteps"], // of learned time embeddings, which are refused
  "pixart transformer": [
    ...["dropout", "upcast_attention"],
    ...["norm_num_groups", "num_embeds_ada_norm", "use_linear_projection"], // of other inputs
  ],
  "dit transformer": ["dropout", "upcast_attention", "norm_num_groups"],
  "edm ": ["use_fp16", "dropout", "label_dropout", ...["sigma_min", "sigma_max", "sigma_data"]], // the last three are the teacher's, below
  "sdxl text_encoder_2": [...Object.keys(transformersKeys), "attention_dropout", "dropout"],
  "sd3 text_encoder_3": [
    ...[...Object.keys(transformersKeys), "classifier_dropout", "dropout_rate"],
    ...["n_positions", "num_decoder_layers", "output_past", "scale_decoder_outputs"], // of decoders
    "eos_token_id",
  ],
};

/** What null stands for in these pipelines: the same is no other value. */
const DEFAULTS: Readonly<Record<string, unknown>> = { interpolation_scale: 2, use_additional_conditions: true };

/** Values that a key might have in place of its own. */
function unusual(now: unknown): unknown[] {
  if (typeof now === "boolean") return [!now];
  if (typeof now === "number") return now % 2 === 1 ? [now + 2, 2 * now] : [2 * now || 2]; // kernels are odd
  if (typeof now === "string")
    return ["unusual", "gelu", "silu", "scale_shift", "timestep", "skip", "fourier"].filter((value) => value !== now);
  if (Array.isArray(now) && now.length > 0) return [[...now.slice(0, -1), ...unusual(now.at(-1)).slice(0, 1)]];
  return [2, true, "unusual", "rms_norm", [2]];
}

interface Case {
  pipeline: string;
  part: string;
  // biome-ignore lint/suspicious/noExplicitAny: each network's own config
  network: PublishedNetwork<any>;
}

/** All keys that a network's config takes, with its own values or their defaults. */
function keysOf({ network }: Case, json: Config): Config {
  const schema = network.config as unknown as { shape?: Config; options?: { shape: Config }[] };
  const keys = Object.keys(schema.shape ?? schema.options?.[0]?.shape ?? {});
  const filled = (network.config as z.ZodType<Config>).parse(
    Object.fromEntries(Object.entries(json).filter(([key]) => key in (schema.shape ?? json))),
  );
  return Object.fromEntries(keys.map((key) => [key, filled[key]]));
}

/** A hash of what the network computes, over weights without elements; undefined where config or weights are refused. */
async function computed({ pipeline, part }: Case, json: Config, spec: DenoiserSpec): Promise<string | undefined> {
  const place = join(at(pipeline), part);
  const { shapes } = await openPart(place);
  try {
    const network = publishedNetwork({ json, file: "config.json" });
    const weights = await shapes(network.names);
    const set = createPlanner().engine.variables("network", weights);
    if (part.startsWith("text")) {
      const inputs = { input_ids: { shape: [1, 16], dtype: "int32" as const } };
      const ask = (parameters: Record<string, Tensor>, given: Record<string, Tensor>) => network.forward(parameters, given, "");
      await checkParameters({ place, network, json }, { inputs, ask }, weights);
      return hashOf(traceProgram({ name: "", sets: { set }, inputs, run: ({ set }, given) => ({ outputs: ask(set, given) }) }).model);
    }
    const denoiser = network.denoiser!;
    const { shape, sizes } = denoiser;
    const whole = { ...spec, shape: [...shape] as DenoiserSpec["shape"], network: { ...spec.network, published: json } };
    const small = "multiple" in sizes ? withLatents(whole, [8 * sizes.multiple, 8 * sizes.multiple]) : whole;
    await checkDenoiser({ place, network, denoiser, spec: small, shapes: weights });
    const inputs = { x: { shape: [1, ...small.shape] }, noiseLevel: { shape: [1] }, ...conditionInputs(small, 1) };
    const { model } = traceProgram({
      name: "",
      sets: { set },
      inputs,
      run: ({ set }, { x, noiseLevel, ...others }) => {
        const condition = embedConditions(small, set, others);
        return { outputs: { out: applyNetwork(small, set, { x: x as Tensor, noiseLevel: noiseLevel as Tensor, condition }) } };
      },
    });
    return hashOf(model, JSON.stringify([shape, denoiser.conditions]));
  } catch (error) {
    if (isFailure(error)) return undefined;
    throw error;
  }
}

function hashOf(model: Uint8Array, more = ""): string {
  return createHash("sha256").update(model).update(more).digest("hex");
}

const cases: Case[] = [
  { pipeline: "sdxl", part: "unet", network: sdUnet },
  { pipeline: "ddpm", part: "unet", network: ddpm },
  { pipeline: "pixart", part: "transformer", network: pixart },
  { pipeline: "sd3", part: "transformer", network: mmdit },
  { pipeline: "flux", part: "transformer", network: flux },
  { pipeline: "dit", part: "transformer", network: ditClass },
  { pipeline: "edm", part: "", network: edm },
  { pipeline: "sdxl", part: "text_encoder_2", network: clipTextWithProjection },
  { pipeline: "sd3", part: "text_encoder_3", network: t5Encoder },
];

for (const each of cases) {
  const { pipeline, part } = each;
  const title = `${pipeline} ${part}: no key is passed over`;
  if (!existsSync(pipelines)) {
    test.skip(title, `there is no ${pipelines}`);
    continue;
  }
  test(
    title,
    async () => {
      const json = (await openPart(join(at(pipeline), part))).json as Config;
      const { spec } = (await planDenoiser(at(pipeline))).teacher.description;
      const own = await computed(each, json, spec);
      assert.ok(own);
      const passed: string[] = [];
      for (const [key, now] of Object.entries(keysOf(each, json))) {
        if (INERT[`${pipeline} ${part}`]?.includes(key)) continue;
        for (const value of unusual(now).filter((other) => now !== null || other !== DEFAULTS[key]))
          if ((await computed(each, { ...json, [key]: value }, spec)) === own) passed.push(`${key}: ${JSON.stringify(value)}`);
      }
      assert.equal(passed, []);
      assert.is(await computed(each, { ...json, unheard_of: 1 }, spec), undefined);
    },
    { seconds: 240 },
  );
}

if (existsSync(pipelines)) {
  test("EDM's levels end where its network's do", async () => {
    const folder = freshFolder();
    cpSync(at("edm"), folder, { recursive: true, filter: (path) => !path.includes("golden") });
    const json = JSON.parse(readFileSync(join(folder, "config.json"), "utf8"));
    writeFileSync(join(folder, "config.json"), JSON.stringify({ ...json, sigma_min: 0.01, sigma_max: 40, sigma_data: 0.7 }));
    const { diffusion } = (await planDenoiser(folder)).teacher.description.spec;
    assert.equal([diffusion.sigmaMin, diffusion.sigmaMax, diffusion.sigmaData], [0.01, 40, 0.7]);
  });
}

test.run();
