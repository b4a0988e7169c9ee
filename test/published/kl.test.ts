/** AutoencoderKL: against the golden vectors, by its oldest names, in tiles, and what is refused. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { createEngine } from "../../engine/engine.ts";
import { type PortableSpec, portableModel } from "../../engine/portable.ts";
import { type Tensor, type Tensor4D, tf } from "../../engine/tfjs.ts";
import type { Weights } from "../../engine/weights.ts";
import { autoencoderKl, latentScale } from "../../models/codecs/kl.ts";
import { decodeInTiles, tracedInTiles } from "../../models/codecs/tiles.ts";
import { readConfig } from "../../models/published/network.ts";
import { normals } from "../../schemas/numbers/philox.ts";
import { readPart } from "../../stages/published/part.ts";
import { assert, suite } from "../harness.ts";
import { holdToGolden, pipelines } from "./golden.ts";

type Picture = Weights[string];

const test = suite("published kl");
holdToGolden(test, [
  ["sd15", "vae", 3],
  ["sd21v", "vae", 3],
  ["sdxl", "vae", 3],
  ["pixart", "vae", 3],
  ["sd3", "vae", 3],
  ["flux", "vae", 3],
  ["dit", "vae", 3],
]);

/** A test of parts of ../shared/pipelines. */
function testWith(title: string, folders: readonly string[], body: (...paths: string[]) => Promise<void>): void {
  const paths = folders.map((folder) => join(pipelines, folder));
  const absent = paths.find((path) => !existsSync(path));
  if (absent) test.skip(title, `there is no ${absent}`);
  else test(title, () => body(...paths));
}

testWith("the oldest names of attention are today's", ["sd15/vae", "sd15/vae_old_names"], async (today, old) => {
  const [{ weights: expected }, { weights: found }] = [await readPart(today as string), await readPart(old as string)];
  assert.equal(Object.keys(found).sort(), Object.keys(expected).sort());
  for (const [name, { shape, data }] of Object.entries(expected)) {
    assert.equal(found[name]?.shape, shape, name);
    assert.equal(found[name]?.data, data, name);
  }
});

const noise = (shape: number[]): Picture => ({
  shape,
  data: normals({ seed: 7, stream: "latents", length: shape.reduce((a, b) => a * b, 1) }),
});
const largest = (values: Float32Array): number => values.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
const apart = (found: Picture, expected: Picture): number =>
  largest(found.data.map((value, i) => value - (expected.data[i] as number))) / largest(expected.data);

testWith("a decoder in tiles differs little from the whole", ["sd21v/vae"], async (folder) => {
  const { network, weights } = await readPart(folder as string);
  const engine = await createEngine({ device: "cpu", threads: 1 });
  const compiled = async (shape: number[]) => {
    const program = await engine.compile({
      name: `decoder ${shape.join("x")}`,
      sets: { network: engine.constants("network", weights) },
      inputs: { latents: { shape } },
      run: ({ network: parameters }, inputs) => ({ outputs: network.forward(parameters, inputs, "decode") }),
    });
    return async ({ shape: [b, h, w], data }: Picture): Promise<Picture> => {
      const { image } = await program.run({ latents: data });
      return { shape: [b as number, (h as number) * 4, (w as number) * 4, 3], data: Float32Array.from(image as Float32Array) };
    };
  };
  const latents = noise([1, 32, 40, 4]);
  const whole = await (await compiled([1, 32, 40, 4]))(latents);
  const tiled = await decodeInTiles({ latents, tile: 24, overlap: 8, decode: await compiled([1, 24, 24, 4]) });
  assert.equal(tiled.shape, whole.shape);
  const mean = tiled.data.reduce((sum, value, i) => sum + Math.abs(value - (whole.data[i] as number)), 0) / tiled.data.length;
  // Measured: 0.137 at most, 0.014 on average. Weights are random here, and norms and attention see a tile in place of the whole.
  assert.ok(apart(tiled, whole) <= 0.15, `${apart(tiled, whole)}`);
  assert.ok(mean / largest(whole.data) <= 0.015, `${mean / largest(whole.data)}`);
});

test("tiles of a decoder that sees no further than a pixel are the whole", async () => {
  const decode = async ({ shape: [b, h, w, c], data }: Picture): Promise<Picture> => {
    const [rows, columns, channels] = [h as number, w as number, c as number];
    const at = (y: number, x: number) => ((y >> 1) * columns + (x >> 1)) * channels;
    const pixel = (i: number) => at(Math.floor(i / channels / (2 * columns)), Math.floor(i / channels) % (2 * columns)) + (i % channels);
    const one = rows * columns * channels;
    const values = Float32Array.from({ length: (b as number) * one * 4 }, (_, i) => {
      const image = Math.floor(i / (4 * one));
      return data[image * one + pixel(i % (4 * one))] as number;
    });
    return { shape: [b as number, 2 * rows, 2 * columns, channels], data: values };
  };
  for (const [side, tile, overlap] of [
    [11, 5, 2],
    [16, 7, 0],
    [9, 8, 7],
    [6, 6, 1],
  ] as const) {
    const latents = noise([2, side, 13, 3]);
    const tiled = await decodeInTiles({ latents, tile, overlap, decode });
    const whole = await decode(latents);
    assert.equal(tiled.shape, whole.shape);
    assert.ok(apart(tiled, whole) <= 1e-6, `${side} in ${tile}`);
  }
  await assert.rejects(decodeInTiles({ latents: noise([1, 9, 9, 1]), tile: 4, overlap: 4, decode }), "Cannot decode in tiles of 4");
});

test("a graph for other runtimes decodes in the same tiles, for any batch", async () => {
  const [tile, overlap, channels] = [5, 2, 3];
  // A decoder that sees where in its tile a pixel lies: without the right fading tiles would show.
  const ramp = (h: number, w: number) => Float32Array.from({ length: h * w }, (_, i) => Math.floor(i / w) / h - (2 * (i % w)) / w);
  const here = async ({ shape: [b = 0, h = 0, w = 0], data }: Picture): Promise<Picture> => {
    const [tall, wide, at] = [2 * h, 2 * w, ramp(2 * h, 2 * w)];
    const values = Float32Array.from({ length: b * tall * wide * channels }, (_, i) => {
      const [pixel, image] = [Math.floor(i / channels) % (tall * wide), Math.floor(i / channels / (tall * wide))];
      const [y, x] = [Math.floor(pixel / wide) >> 1, (pixel % wide) >> 1];
      return (data[((image * h + y) * w + x) * channels + (i % channels)] as number) + (at[pixel] as number);
    });
    return { shape: [b, tall, wide, channels], data: values };
  };
  const traced = (latents: Tensor): Tensor => {
    const [, h, w] = latents.shape as [number, number, number];
    const larger = tf.image.resizeNearestNeighbor(latents as Tensor4D, [2 * h, 2 * w]);
    return tf.add(larger, tf.tensor4d(ramp(2 * h, 2 * w), [1, 2 * h, 2 * w, 1]));
  };
  const { InferenceSession, Tensor: Port } = await import("onnxruntime-node");
  const inputs = { latents: { shape: [11, 13, channels] } };
  const run: PortableSpec["run"] = (_, { latents }) => ({
    image: tracedInTiles({ latents: latents as Tensor, tile, overlap, decode: traced }),
  });
  const session = await InferenceSession.create(portableModel({ name: "tiles", weights: {}, inputs, run }).whole());
  for (const b of [1, 3]) {
    const latents = noise([b, 11, 13, channels]);
    const { image } = await session.run({ latents: new Port(latents.data, latents.shape) });
    const expected = await decodeInTiles({ latents, tile, overlap, decode: here });
    assert.equal(image!.dims, expected.shape);
    assert.ok(apart({ shape: expected.shape, data: image!.data as Float32Array }, expected) <= 1e-5);
  }
});

const config = (json: object) => readConfig(autoencoderKl.config, { json, file: "config.json" });

test("denoisers see latents by deviations, or by one factor and shift", () => {
  assert.equal(latentScale(config({ latent_channels: 2, scaling_factor: 1.5, shift_factor: 0.5 })), {
    mean: [0.5, 0.5],
    scale: [1.5, 1.5],
  });
  const given = { latent_channels: 2, scaling_factor: 0.5, latents_mean: [1, 2], latents_std: [2, 4] };
  assert.equal(latentScale(config(given)), { mean: [1, 2], scale: [0.25, 0.125] });
});

test("what is not understood is refused by key and value", () => {
  const refused = (json: object, message: RegExp) => assert.throws(() => config(json), message);
  refused({ act_fn: "mish" }, /Cannot use config.json: act_fn: "mish" is not understood/);
  refused({ down_block_types: ["AttnDownEncoderBlock2D"] }, /down_block_types.0: "AttnDownEncoderBlock2D" is not understood/);
  refused({ block_out_channels: [32, 64] }, /down_block_types: .* is not understood \(there must be 2/);
  refused({ block_out_channels: [48] }, /norm_num_groups: .* \(48 channels do not divide/);
  refused({ latents_mean: [0, 0, 0, 0] }, /latents_std/);
  refused({ spatial: true }, /spatial: true is not understood/);
});
test.run();
