/** AutoencoderKL as a codec: from a published folder to latents and back, in tiles too, and what is refused. */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { commandLine } from "../fixtures/command-line.ts";
import { createEngine } from "../../engine/engine.ts";
import type { Tensor } from "../../engine/tfjs.ts";
import { hashWeights, type Weights } from "../../engine/weights.ts";
import { codecFunctions } from "../../models/codecs/codecs.ts";
import { loadKl } from "../../models/codecs/kl-codec.ts";
import { decodeInTiles } from "../../models/codecs/tiles.ts";
import type { Parameters } from "../../models/layers.ts";
import { fromChannelsFirst } from "../../models/published/torch.ts";
import { readSafetensors } from "../../models/weights/safetensors.ts";
import { isFailure } from "../../schemas/failure.ts";
import { normals } from "../../schemas/numbers/philox.ts";
import { sharp } from "../../schemas/sharp.ts";
import { settingsSchema } from "../../recipes/settings.ts";
import { openCodec, readCodec } from "../../stages/runs/model.ts";
import { create } from "../../stages/workers/codec.ts";
import { openLatentStore, readLatents } from "../../store/rows/latents.ts";
import { klConfigOf, randomKl, smallKl, writeKl } from "../fixtures/kl.ts";
import { picture } from "../fixtures/png.ts";
import { assert, suite } from "../harness.ts";
import { pipelines } from "../published/golden.ts";
import { freshFolder } from "../simulate/fixture.ts";

const test = suite("AutoencoderKL as a codec");

const cpu = settingsSchema.parse({ engine: { device: "cpu", threads: 1 } }).engine;
const open = (path: string, size: number) => openCodec(settingsSchema.parse({ images: { size }, encoder: { kind: "kl", path } }));

for (const [title, folder, golden] of [
  ["sd15", "sd15/vae", "sd15"],
  ["sd15 by its pipeline", "sd15", "sd15"],
  ["sd15 by its oldest names", "sd15/vae_old_names", "sd15"],
  ["dit", "dit/vae", "dit"],
] as const) {
  const name = `${title}: latents are the posterior's mean and images what the published library decodes`;
  if (existsSync(join(pipelines, folder))) test(name, () => agrees(join(pipelines, folder), join(pipelines, golden)));
  else test.skip(name, `there is no ${join(pipelines, folder)}`);
}

/** Largest differences of latents and images, over the largest element. Measured: at most 2.3e-6. */
async function agrees(folder: string, golden: string): Promise<void> {
  const { tensors } = await readSafetensors(join(golden, "golden.safetensors"));
  const vector = (name: string) => fromChannelsFirst(tensors[name] as Weights[string]);
  const [image, mean] = [vector("vae.encode.image"), vector("vae.encode.mean")];
  const [latents, decoded] = [vector("vae.decode.latents"), vector("vae.decode.image")];
  const { description, weights } = await open(folder, 64);
  const halved = (64 * (mean.shape[1] as number)) / (image.shape[1] as number); // these pictures are oblong
  assert.equal(description.shape, [halved, halved, mean.shape[3]]);
  assert.is(description.hash, hashWeights(weights));
  const { encode, decode, differences } = codecFunctions(description)!;
  assert.equal(differences(weights), []);
  const latent = await computed({ weights, apply: encode, x: image });
  assert.equal(latent.shape, mean.shape);
  assert.close(latent.data, mean.data, 1e-5 * largest(mean.data));
  const drawn = await computed({ weights, apply: decode, x: latents });
  assert.equal(drawn.shape, decoded.shape);
  assert.close(drawn.data, decoded.data, 1e-5 * largest(decoded.data));
}

/** What a traced function makes of x, compiled on one thread. */
async function computed(options: {
  weights: Weights;
  apply: (parameters: Parameters, x: Tensor) => Tensor;
  x: Weights[string];
}): Promise<Weights[string]> {
  const { weights, apply, x } = options;
  const engine = await createEngine({ device: "cpu", threads: 1 });
  let shape: number[] = [];
  try {
    const program = await engine.compile({
      name: "codec",
      sets: { codec: engine.constants("codec", weights) },
      inputs: { x: { shape: x.shape } },
      run: ({ codec }, given) => {
        const y = apply(codec, given.x as Tensor);
        shape = y.shape;
        return { outputs: { y } };
      },
    });
    return { data: Float32Array.from((await program.run({ x: x.data })).y as Float32Array), shape };
  } finally {
    await engine.dispose();
  }
}

const largest = (values: Float32Array): number => values.reduce((max, value) => Math.max(max, Math.abs(value)), 0);

for (const pipeline of ["sd15", "sd21v", "sdxl", "pixart", "sd3", "flux", "dit"]) {
  const name = `${pipeline}: its autoencoder is exactly what its config asks for`;
  if (existsSync(join(pipelines, pipeline))) test(name, () => loadKl(join(pipelines, pipeline)).then(() => undefined));
  else test.skip(name, `there is no ${join(pipelines, pipeline)}`);
}

test("what is no AutoencoderKL, or another one than its config says, is refused by name", async () => {
  const vector = (...values: number[]): Weights[string] => ({ shape: [values.length], data: Float32Array.from(values) });
  const refused = async (path: string, said: RegExp, size = 16): Promise<void> => {
    const error = await assert.rejects(open(path, size), said);
    assert.ok(isFailure(error), error.stack);
  };
  const place = freshFolder();
  await refused(place, /Cannot load the autoencoder at ".*": there is neither config\.json nor vae\/config\.json; point encoder\.path/);
  await refused("", /Cannot encode with "kl": encoder\.path is not set/);
  const sound = writeKl(join(place, "vae"));
  await open(place, 16);
  await refused(sound, /Cannot encode images of 15 px: the autoencoder halves them 1 times; set images\.size to a multiple of 2/, 15);
  const config = (name: string, changes: object) => writeKl(join(place, name), { json: { ...smallKl, ...changes } });
  await refused(config("tiny", { _class_name: "AutoencoderTiny" }), /its class is "AutoencoderTiny" and not AutoencoderKL.*encoder\.kind/);
  await refused(config("grey", { in_channels: 1 }), /config\.json: in_channels: 1 is not understood \(images have 3 channels\)/);
  await refused(config("mish", { act_fn: "mish" }), /config\.json: act_fn: "mish" is not understood/);
  await refused(config("deep", { layers_per_block: 2 }), /not all of its tensors are those of .*resnets\.1\.norm1\.scale" is missing/);
  const weights = (name: string, changed: (weights: Weights) => Weights) => writeKl(join(place, name), { changed });
  const without = ({ "quant_conv.bias": _, ...rest }: Weights): Weights => rest;
  await refused(weights("without", without), /"quant_conv\.bias" is missing/);
  await refused(
    weights("more", (all) => ({ ...all, "encoder.more.bias": vector(1) })),
    /"encoder\.more\.bias" is unknown/,
  );
  await refused(
    weights("short", (all) => ({ ...all, "quant_conv.bias": vector(1) })),
    /"quant_conv\.bias" is \[1\] instead of \[6\]/,
  );
  await refused(
    weights("broken", (all) => ({ ...all, "quant_conv.bias": vector(1, 2, 3, 4, 5, Number.NaN) })),
    /Cannot use .*broken.*: element 5 of tensor "quant_conv\.bias" is not finite/,
  );
  const bare = join(place, "bare");
  mkdirSync(bare);
  writeFileSync(join(bare, "config.json"), JSON.stringify(smallKl));
  await refused(bare, /Cannot find weights in .*bare: expected diffusion_pytorch_model\.safetensors/);
  if (existsSync(pipelines)) await refused(join(pipelines, "sd15/unet"), /its class is "UNet2DConditionModel" and not AutoencoderKL/);
});

test("pictures become latents on the command line, and a grid of pictures again", async () => {
  const place = freshFolder();
  mkdirSync(place);
  for (const i of [0, 1, 2]) writeFileSync(join(place, `${i}.png`), picture(i));
  const [path, out, grid] = [writeKl(join(place, "pipeline", "vae")), join(place, "latents"), join(place, "grid.png")];
  const kind = ["--encoder", "kl", "--set", `encoder.path=${join(place, "pipeline")}`];
  const ingested = await commandLine(["ingest", place, "--size", "16", ...kind, "--set", "encoder.batch=2", "--out", out]);
  assert.is(ingested.code, 0, ingested.err);

  const { description, weights } = await readCodec(out);
  const { config, weights: published } = await loadKl(path);
  assert.equal([description.kind, description.config, description.shape], ["kl", config, [8, 8, 3]]);
  assert.is(hashWeights(weights), hashWeights(published));
  const worker = await create({ description, weights, batch: 4, engine: cpu });
  let seen = 0;
  for await (const { latent } of readLatents(await openLatentStore({ folder: out }))) {
    const { pixels, notFinite } = await worker.decode(latent);
    assert.equal([pixels.length, notFinite], [16 * 16 * 3, 0]);
    seen++;
  }
  assert.is(seen, 3);

  const shown = await commandLine(["inspect", out, "--grid", grid]);
  assert.is(shown.code, 0, shown.err);
  assert.ok(((await sharp(grid).metadata()).width ?? 0) > 3 * 16);
  const other = await commandLine(["ingest", place, "--size", "15", ...kind, "--out", join(place, "other")]);
  assert.is(other.code, 1);
  assert.match(other.err, /Cannot encode images of 15 px/);
});

test("a worker encodes what the network does, and decodes large latents in tiles, one picture after the other", async () => {
  const config = klConfigOf({ ...smallKl, mid_block_add_attention: false });
  const weights = randomKl(config);
  const size = 144;
  const shape: [number, number, number] = [72, 72, 3];
  const codec = { description: { kind: "kl", imageSize: size, shape, hash: hashWeights(weights), config }, weights };
  const worker = await create({ ...codec, batch: 2, engine: cpu });
  const { encode, decode, tile = 0 } = codecFunctions(codec.description)!;
  assert.ok(tile < 72, "latents are larger than a tile");

  const pixels = Uint8Array.from({ length: 2 * size * size * 3 }, (_, i) => (i * 7 + (i >> 9)) % 256);
  const scaled = { shape: [2, size, size, 3], data: Float32Array.from(pixels, (value) => value / 127.5 - 1) };
  assert.close(await worker.encode(pixels), (await computed({ weights, apply: encode, x: scaled })).data, 1e-4);

  const given = normals({ seed: 3, stream: "latents", length: 2 * 72 * 72 * 3 });
  const tiled = await decodeInTiles({
    latents: { shape: [2, ...shape], data: given },
    tile,
    decode: (x) => computed({ weights, apply: decode, x }),
  });
  const drawn = (await worker.decode(given)).pixels;
  const expected = Uint8ClampedArray.from(tiled.data, (value) => (value + 1) * 127.5);
  assert.is(drawn.length, expected.length);
  assert.ok(drawn.every((value, i) => Math.abs(value - expected[i]!) <= 1));
});

test.run();
