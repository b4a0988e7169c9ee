/**
 * Published networks as families: of what a family is given here become the inputs of the published class, so that the golden forward
 * comes out of `familyOf`, and networks that ask for more are refused.
 */
import { createEngine } from "../../engine/engine.ts";
import type { InputArray } from "../../engine/program.ts";
import { familyOf } from "../../models/families/registry.ts";
import { publishedNetwork } from "../../models/published/registry.ts";
import { assert, suite } from "../harness.ts";
import { arePipelines, bagOf, goldenDenoiser } from "./denoisers.ts";

const test = suite("published families");

if (!arePipelines()) test.skip("of tiny pipelines", "there is no ../shared/pipelines");
else {
  for (const name of ["sd15", "sd21v", "sdxl", "pixart", "sd3", "flux"]) {
    test(`${name}: the family's answer is the golden one`, async () => {
      const { spec, weights, inputs, expected, rows } = await goldenDenoiser(name);
      const engine = await createEngine({ device: "cpu", threads: 1 });
      const family = familyOf(spec);
      const program = await engine.compile({
        name,
        sets: { network: engine.constants("network", weights) },
        inputs: Object.fromEntries(
          Object.entries(inputs).map(([of, { shape, isWhole }]) => [of, { shape, dtype: isWhole ? "int32" : "float32" }]),
        ),
        run: ({ network }, tensors) => ({ outputs: { out: family.apply(network, bagOf(tensors)) } }),
      });
      const values = Object.entries(inputs).map(([of, { data, isWhole }]): [string, InputArray] => [
        of,
        isWhole ? Int32Array.from(data) : data,
      ]);
      const { out } = await program.run(Object.fromEntries(values));
      assert.is(out!.length, expected.data.length);
      const compared = (expected.data.length / expected.shape[0]!) * rows;
      const wanted = expected.data.slice(0, compared);
      const largest = wanted.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      const apart = wanted.reduce((most, value, i) => Math.max(most, Math.abs(value - (out![i] as number))), 0) / largest;
      assert.ok(apart < 1e-4, `${apart}`);
    });
  }
}

const denoiserOf = (json: object) => publishedNetwork({ json, file: "config.json" }).denoiser;
const unet = { _class_name: "UNet2DConditionModel" };

test("networks that ask for more than a text can be compared, and are refused as denoisers", () => {
  const sizes = { addition_embed_type: "text_time", addition_time_embed_dim: 256 };
  const refiner = { ...unet, ...sizes, projection_class_embeddings_input_dim: 2560, cross_attention_dim: 1280 };
  assert.throws(() => denoiserOf(refiner), /Cannot denoise with this UNet2DConditionModel: it is a refiner, .* aesthetic score/);
  assert.throws(() => denoiserOf({ ...unet, in_channels: 9 }), /takes 9 channels and answers 4/);
  assert.throws(() => denoiserOf({ ...unet, num_class_embeds: 1000 }), /asks for a class beside its text/);
  assert.throws(
    () => denoiserOf({ _class_name: "FluxTransformer2DModel", in_channels: 384, out_channels: 64 }),
    /Cannot denoise with this FLUX/,
  );
});

test("what networks are conditioned on follows from their configs", () => {
  const base = { addition_embed_type: "text_time", addition_time_embed_dim: 256, projection_class_embeddings_input_dim: 2816 };
  assert.equal(denoiserOf({ ...unet, ...base, cross_attention_dim: 2048 })?.conditions, { text: { width: 2048, pooled: 1280 } });
  assert.equal(denoiserOf({ ...unet, time_cond_proj_dim: 256, cross_attention_dim: 768 })?.conditions, {
    text: { width: 768 },
    guidance: true,
  });
  assert.equal(denoiserOf({ _class_name: "PixArtTransformer2DModel", caption_channels: 4096 })?.conditions, {
    text: { width: 4096, isMasked: true },
  });
  const flux = { _class_name: "FluxTransformer2DModel" };
  assert.equal(denoiserOf(flux)?.conditions, { text: { width: 4096, pooled: 768 } });
  assert.equal(denoiserOf({ ...flux, guidance_embeds: true })?.conditions.guidance, true);
  assert.equal(denoiserOf(flux)?.shape, [128, 128, 16]);
});

test.run();
