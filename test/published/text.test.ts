/** Texts as published pipelines give them to their denoisers, against the inputs of the denoisers in the golden vectors. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { createEngine } from "../../engine/engine.ts";
import { embeddingParts } from "../../models/text/embedding.ts";
import { publishedText } from "../../models/text/published-text.ts";
import type { TextShape } from "../../schemas/embedding.ts";
import { readSafetensors } from "../../models/weights/safetensors.ts";
import { openTextEncoders } from "../../stages/published/text.ts";
import { readTextSettings } from "../../stages/published/text-files.ts";
import { readGolden } from "../../stages/published/golden.ts";
import { assert, suite } from "../harness.ts";
import { pipelines } from "./golden.ts";

const test = suite("published texts");

/** What denoisers were given of two prompts: the names of tokens, mask and pooled features, and T5's length where it is not the pipeline's. */
const cases: { pipeline: string; denoiser: string; prompts?: string[]; mask?: string; pooled?: string; t5?: number }[] = [
  { pipeline: "sd15", denoiser: "unet" },
  { pipeline: "sd21v", denoiser: "unet", prompts: ["long", "unicode"] },
  { pipeline: "sdxl", denoiser: "unet", pooled: "text_embeds" },
  { pipeline: "pixart", denoiser: "transformer", mask: "encoder_attention_mask" },
  { pipeline: "sd3", denoiser: "transformer", pooled: "pooled_projections", t5: 96 },
  { pipeline: "flux", denoiser: "transformer", pooled: "pooled_projections", t5: 96 },
];

for (const { pipeline, denoiser, prompts = ["plain", "unicode"], mask = "", pooled = "", t5 } of cases) {
  const folder = join(pipelines, pipeline);
  if (!existsSync(folder)) {
    test.skip(`${pipeline}: texts`, `there is no ${folder}`);
    continue;
  }
  test(`${pipeline}: embedded prompts are what the denoiser was given`, async () => {
    const path = join(folder, "golden.safetensors");
    const { tensors } = await readSafetensors(path);
    const texts = (await readGolden(path)).golden.prompts as Record<string, string>;
    const given = (name: string) => tensors[`${denoiser}.${name}`]!;
    const text = await readTextSettings(folder);
    const lengths = text.lengths.map((length, i) => (t5 !== undefined && i === text.lengths.length - 1 ? t5 : length));
    const [, length, width] = given("encoder_hidden_states").shape as [number, number, number];
    assert.is(publishedText(text.pipeline)!.length(lengths), length);
    const shape: TextShape = { length, width, isMasked: mask !== "", pooled: pooled ? (given(pooled).shape[1] as number) : 0 };
    const engine = await createEngine({ device: "cpu", threads: 1 });
    const encoders = await openTextEncoders({ folder, lengths, shape, engine });
    const names = { tokens: "encoder_hidden_states", mask, pooled };
    for (const [row, prompt] of prompts.entries()) {
      const whole = await encoders.embed(texts[prompt] as string);
      for (const { name, from, size } of embeddingParts(shape)) {
        const expected = given(names[name]).data.subarray(row * size, (row + 1) * size);
        const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
        const apart = expected.reduce((most, value, i) => Math.max(most, Math.abs(value - (whole[from + i] as number))), 0) / largest;
        assert.ok(apart < 1e-5, `${prompt} ${name}: ${apart}`);
      }
    }
    const nothing = await encoders.negative(undefined);
    const other = pipeline === "sdxl" ? new Float32Array(nothing.length) : await encoders.embed("");
    assert.equal(nothing, other); // SDXL's missing negative prompt is zeros (force_zeros_for_empty_prompt)
    await engine.dispose();
  });
}

test.run();
