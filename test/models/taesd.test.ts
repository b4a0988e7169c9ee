import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createEngine } from "../../engine/engine.ts";
import { normals } from "../../schemas/numbers/philox.ts";
import { encodeSafetensors, readSafetensors } from "../../models/weights/safetensors.ts";
import { tf, type Tensor } from "../../engine/tfjs.ts";
import type { Weights } from "../../engine/weights.ts";
import { decodeTaesd, encodeTaesd, findTaesd, loadTaesd } from "../../models/codecs/taesd.ts";
import { standardTaesd } from "../fixtures/taesd.ts";
import { assert, suite } from "../harness.ts";

const test = suite("taesd");
test.before(async () => {
  await tf.setBackend("cpu");
});

const tensors = (weights: Weights): Record<string, Tensor> =>
  Object.fromEntries(Object.entries(weights).map(([name, { shape, data }]) => [name, tf.tensor(data, shape)]));

test("reads the layout off the keys, in two files or in one of diffusers, with equal results", async () => {
  const folder = await mkdtemp(join(tmpdir(), "taesd-"));
  try {
    for (const diffusers of [false, true]) {
      for (const [name, weights] of Object.entries(standardTaesd({ channels: 4, width: 8, diffusers }))) {
        const file = name === "both" ? "both.safetensors" : `tiny_${name}.safetensors`;
        await writeFile(join(folder, file), encodeSafetensors({ tensors: weights }));
      }
    }
    assert.equal(findTaesd(folder), findTaesd(join(folder, "tiny")));
    const two = await loadTaesd(findTaesd(folder));
    const one = await loadTaesd(findTaesd(join(folder, "both.safetensors")));
    for (const { config } of [two, one]) {
      assert.equal([config.latentChannels, config.downsample], [4, 8]);
      const down = ["down", "block", "block", "block"];
      assert.equal(
        config.encoder.map(({ kind }) => kind),
        ["conv", "block", ...down, ...down, ...down, "conv"],
      );
      const up = ["block", "block", "block", "up"];
      assert.equal(
        config.decoder.map(({ kind }) => kind),
        ["conv", ...up, ...up, ...up, "block", "conv"],
      );
    }
    const images = tf.tensor(normals({ seed: 1, stream: "images", length: 16 * 24 * 3 }), [1, 16, 24, 3]);
    const latents = encodeTaesd(two.config, tensors(two.weights), images);
    assert.equal(latents.shape, [1, 2, 3, 4]);
    assert.equal(latents.dataSync(), encodeTaesd(one.config, tensors(one.weights), images).dataSync());
    assert.equal(decodeTaesd(one.config, tensors(one.weights), latents).shape, [1, 16, 24, 3]);
    await assert.rejects(
      loadTaesd({ encoder: join(folder, "tiny_decoder.safetensors"), decoder: join(folder, "both.safetensors") }),
      /Cannot load the autoencoder.*use files of one model/,
    );
    assert.throws(() => findTaesd(join(folder, "other")), /Cannot load the autoencoder at .*encoder.path/);
  } finally {
    await rm(folder, { recursive: true });
  }
});

const shared = new URL("../../../shared/data/vae/", import.meta.url).pathname;
if (existsSync(shared)) {
  for (const [picture, device] of [
    ["rect", "eager"],
    ["rect", "cpu"],
    ["photo", "cpu"],
  ] as const) {
    test(`agrees with the reference run of TAEF2 on the ${picture} picture (${device})`, () => parity(picture, device));
  }
} else test.skip("agrees with the reference run of TAEF2", `${shared} is not there`);

/** Largest errors of latent and decoded image, over the reference's range: at most 2e-3. */
async function parity(picture: string, device: "eager" | "cpu"): Promise<void> {
  const { config, weights } = await loadTaesd(findTaesd(shared));
  assert.equal(config.latentChannels, 32);
  const { tensors: vectors } = await readSafetensors(join(shared, "parity_vectors.safetensors"));
  const vector = (name: string, [height, width, channels]: readonly [number, number, number]): Float32Array => {
    const { data } = vectors[`${picture}.${name}`]!; // [1, channels, height, width]
    const at = (i: number): number => (i % channels) * height * width + Math.floor(i / channels);
    return Float32Array.from({ length: height * width * channels }, (_, i) => data[at(i)]!);
  };
  const [, , height, width] = vectors[`${picture}.image`]!.shape as [number, number, number, number];
  const [pixels, sides] = [
    [height, width, 3],
    [height / 8, width / 8, 32],
  ] as const;
  const [image, latent, decoded] = [vector("image", pixels), vector("latent", sides), vector("decoded", pixels)];

  const engine = await createEngine({ device, threads: 1 });
  try {
    const program = await engine.compile({
      name: "taesd",
      sets: { taesd: engine.constants("taesd", weights) },
      inputs: { images: { shape: [1, ...pixels] }, latents: { shape: [1, ...sides] } },
      run: ({ taesd }, { images, latents }) => ({
        outputs: { latent: encodeTaesd(config, taesd, images!), decoded: decodeTaesd(config, taesd, latents!) },
      }),
    });
    const found = await program.run({ images: image.map((v) => 2 * v - 1), latents: latent });
    assert.close(found.latent!, latent, 2e-3 * range(latent));
    assert.close(
      found.decoded!.map((v) => (v + 1) / 2),
      decoded,
      2e-3 * range(decoded),
    );
  } finally {
    await engine.dispose();
  }
}

const range = (values: Float32Array): number => Math.max(...values) - Math.min(...values);

test.run();
