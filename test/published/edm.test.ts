/** EDM's networks: DDPM++ against the golden vectors; NCSN++ and ADM by their parameters and their parts. */
import { createEngine } from "../../engine/engine.ts";
import { type Tensor, tf } from "../../engine/tfjs.ts";
import type { Weights } from "../../engine/weights.ts";
import { edm } from "../../models/families/edm.ts";
import type { EdmConfig } from "../../models/families/edm-config.ts";
import { convHalved, doubled, halved } from "../../models/families/edm-blocks.ts";
import { readConfig } from "../../models/published/network.ts";
import { normals } from "../../schemas/numbers/philox.ts";
import { forwardOf } from "../../stages/published/forward.ts";
import { assert, suite } from "../harness.ts";
import { holdToGolden } from "./golden.ts";

const test = suite("published edm");
holdToGolden(test, [["edm", "network", 2]]);

const config = (json: object) =>
  readConfig(edm.config, { json: { class_name: "EDMPrecond", img_channels: 3, ...json }, file: "config.json" });
const noise = (shape: number[], stream: string) => ({
  shape,
  data: normals({ seed: 3, stream, length: shape.reduce((a, b) => a * b, 1) }),
});

const ncsnpp = { model_type: "SongUNet", embedding_type: "fourier", encoder_type: "residual", resample_filter: [1, 3, 3, 1] };
/** Published networks, and their million parameters. */
const PUBLISHED: readonly [name: string, json: object, millions: number][] = [
  ["DDPM++ of CIFAR-10", { img_resolution: 32, label_dim: 10, augment_dim: 9, model_type: "SongUNet", channel_mult: [2, 2, 2] }, 55.7],
  ["ADM of ImageNet", { img_resolution: 64, label_dim: 1000, model_type: "DhariwalUNet" }, 295.9],
];

/** Shapes of a checkpoint's parameters, in our layouts, laid out anew from what the paper and the files say. */
function shapesOf(c: EdmConfig): Record<string, number[]> {
  const isSong = c.model_type === "SongUNet";
  const shapes: Record<string, number[]> = {};
  const linear = (name: string, from: number, to: number, hasBias = true) => {
    shapes[`model.${name}.kernel`] = [from, to];
    if (hasBias) shapes[`model.${name}.bias`] = [to];
  };
  const conv = (name: string, side: number, from: number, to: number) => {
    shapes[`model.${name}.kernel`] = [side, side, from, to];
    shapes[`model.${name}.bias`] = [to];
  };
  const norm = (name: string, width: number) => {
    shapes[`model.${name}.scale`] = [width];
    shapes[`model.${name}.bias`] = [width];
  };
  const embedding = c.model_channels * c.channel_mult_emb;
  const block = (name: string, from: number, to: number, has: { attention?: boolean; resampling?: boolean } = {}) => {
    norm(`${name}.norm0`, from);
    conv(`${name}.conv0`, 3, from, to);
    linear(`${name}.affine`, embedding, isSong ? to : 2 * to);
    norm(`${name}.norm1`, to);
    conv(`${name}.conv1`, 3, to, to);
    if (from !== to || (has.resampling && isSong)) conv(`${name}.skip`, 1, from, to);
    if (!has.attention) return;
    norm(`${name}.norm2`, to);
    conv(`${name}.qkv`, 1, to, 3 * to);
    conv(`${name}.proj`, 1, to, to);
  };
  const features = c.model_channels * (isSong ? c.channel_mult_noise : 1);
  if (isSong && c.embedding_type === "fourier") shapes["model.map_noise.freqs"] = [features / 2];
  if (c.label_dim) linear("map_label", c.label_dim, isSong ? features : embedding, isSong);
  if (c.augment_dim) linear("map_augment", c.augment_dim, features, false);
  linear("map_layer0", features, embedding);
  linear("map_layer1", embedding, embedding);
  const levels = c.channel_mult.map((multiplier, level) => ({
    width: c.model_channels * multiplier,
    side: c.img_resolution >> level,
    level,
  }));
  const attends = (side: number) => c.attn_resolutions.includes(side);
  let width = isSong ? c.model_channels : (levels[0]?.width as number);
  let aux = 3;
  const kept = [width];
  conv(`enc.${c.img_resolution}x${c.img_resolution}_conv`, 3, 3, width);
  for (const { width: wanted, side, level } of levels) {
    if (level > 0) {
      block(`enc.${side}x${side}_down`, width, width, { resampling: true });
      kept.push(width);
      if (isSong && c.encoder_type === "skip") conv(`enc.${side}x${side}_aux_skip`, 1, aux, width);
      if (isSong && c.encoder_type === "residual") {
        conv(`enc.${side}x${side}_aux_residual`, 3, aux, width);
        aux = width;
      }
    }
    for (let i = 0; i < c.num_blocks; i++) {
      block(`enc.${side}x${side}_block${i}`, width, wanted, { attention: attends(side) });
      width = wanted;
      kept.push(width);
    }
  }
  for (const { width: wanted, side, level } of levels.reverse()) {
    if (level === levels.length - 1) {
      block(`dec.${side}x${side}_in0`, width, width, { attention: true });
      block(`dec.${side}x${side}_in1`, width, width);
    } else block(`dec.${side}x${side}_up`, width, width, { resampling: true });
    for (let i = 0; i <= c.num_blocks; i++) {
      const attention = attends(side) && (!isSong || i === c.num_blocks);
      block(`dec.${side}x${side}_block${i}`, width + (kept.pop() as number), wanted, { attention });
      width = wanted;
    }
    if (isSong && (level === 0 || c.decoder_type === "skip")) {
      norm(`dec.${side}x${side}_aux_norm`, width);
      conv(`dec.${side}x${side}_aux_conv`, 3, width, 3);
    }
  }
  if (!isSong) {
    norm("out_norm", width);
    conv("out_conv", 3, width, 3);
  }
  return shapes;
}

for (const [name, json, millions] of PUBLISHED) {
  test(`${name} has as many parameters as its file`, () => {
    const sizes = Object.values(shapesOf(config(json))).map((shape) => shape.reduce((a, b) => a * b, 1));
    assert.close(sizes.reduce((a, b) => a + b, 0) / 1e6, millions, 0.06);
  });
}

const small = { img_resolution: 16, num_blocks: 1, attn_resolutions: [8], channel_mult: [1, 2] };
const SMALL: Record<string, object> = {
  "NCSN++": { ...small, ...ncsnpp, model_channels: 8, channel_mult_noise: 2, label_dim: 4, augment_dim: 3 },
  "a SongUNet with skips in both halves": {
    ...small,
    model_type: "SongUNet",
    model_channels: 8,
    encoder_type: "skip",
    decoder_type: "skip",
    resample_filter: [1, 3, 3, 1],
  },
  ADM: { ...small, model_type: "DhariwalUNet", model_channels: 64, label_dim: 4 },
};
for (const [name, json] of Object.entries(SMALL)) {
  test(`${name} reads each of its parameters`, async () => {
    const c = config(json);
    const weights: Weights = Object.fromEntries(
      Object.entries(shapesOf(c)).map(([parameter, shape]) => {
        const { data } = noise(shape, parameter);
        return [parameter, { shape, data: data.map((value) => value * 0.1) }];
      }),
    );
    const whole = <T>(tensor: T) => ({ ...tensor, isWhole: false });
    const { outputs, read } = await forwardOf({
      engine: await createEngine({ device: "cpu", threads: 1 }),
      part: {
        network: {
          names: {},
          told: {},
          calls: ["network"],
          forward: (parameters, inputs, call) => edm.forward(c, parameters, inputs, call),
        },
        weights,
      },
      folder: name,
      call: "network",
      inputs: {
        x: whole(noise([2, 3, 16, 16], "x")),
        sigma: whole({ shape: [2], data: Float32Array.of(0.5, 20) }),
        ...(c.label_dim > 0 && { classes: whole({ shape: [2, 4], data: Float32Array.of(0, 1, 0, 0, 0, 0, 0, 1) }) }),
        ...(c.augment_dim > 0 && { augment: whole(noise([2, 3], "augment")) }),
      },
    });
    assert.equal(outputs.out?.shape, [2, 3, 16, 16]);
    assert.ok(outputs.out?.data.every(Number.isFinite));
    assert.equal(
      Object.keys(weights).filter((parameter) => !read.has(parameter)),
      [],
    );
  });
}

/** What a traced function of tensors [1, h, w, 1] answers. */
async function answer(run: (x: Tensor, kernel: Tensor) => Tensor, x: Weights[string], kernel: Weights[string]): Promise<Float32Array> {
  const engine = await createEngine({ device: "cpu", threads: 1 });
  const inputs = { x: { shape: x.shape }, kernel: { shape: kernel.shape } };
  const program = await engine.compile({
    name: "resampling",
    sets: {},
    inputs,
    run: (_, given) => ({ outputs: { y: run(given.x as Tensor, given.kernel as Tensor) } }),
  });
  const { y } = await program.run({ x: x.data, kernel: kernel.data });
  return Float32Array.from(y as Float32Array);
}

/** Element (y, x) of a map of `side`, zero beyond it. */
const pixel = (map: ArrayLike<number>, side: number, y: number, x: number): number =>
  y < 0 || x < 0 || y >= side || x >= side ? 0 : (map[y * side + x] as number);

/** Sums of the products of a square filter with a map from each place of a result on, every `stride` pixels. */
function correlated(options: {
  map: ArrayLike<number>;
  side: number;
  filter: readonly number[];
  padding: number;
  stride: number;
}): Float32Array {
  const { map, side, filter, padding, stride } = options;
  const width = Math.sqrt(filter.length);
  const result = Math.floor((side + 2 * padding - width) / stride) + 1;
  return Float32Array.from({ length: result * result }, (_, i) => {
    const [y, x] = [Math.floor(i / result) * stride - padding, (i % result) * stride - padding];
    return filter.reduce((sum, weight, k) => sum + weight * pixel(map, side, y + Math.floor(k / width), x + (k % width)), 0);
  });
}

const TENT = [1, 3, 3, 1];
const square = TENT.flatMap((a) => TENT.map((b) => (a * b) / 64));
const image = noise([1, 6, 6, 1], "image");
const kernel = noise([3, 3, 1, 1], "kernel");

test("maps are halved as by a convolution with the filter, and enlarged as by its transpose", async () => {
  const down = await answer((x) => halved(x, TENT), image, kernel);
  assert.close(down, correlated({ map: image.data, side: 6, filter: square, padding: 1, stride: 2 }), 1e-6);
  const spread = Float32Array.from({ length: 144 }, (_, i) => {
    const [y, x] = [Math.floor(i / 12), i % 12];
    return y % 2 === 0 && x % 2 === 0 ? 4 * pixel(image.data, 6, y / 2, x / 2) : 0;
  });
  const up = await answer((x) => doubled(x, TENT), image, kernel);
  assert.close(
    up,
    correlated({ map: spread, side: 12, filter: square, padding: 2, stride: 1 }).filter((_, i) => i % 13 < 12 && i < 156),
    1e-6,
  );
});

test("NCSN++'s shortcut convolves over all that its filter sees", async () => {
  const found = await answer((x, k) => convHalved({ "a.kernel": k, "a.bias": tf.tensor1d([0.5]) }, "a", x, TENT), image, kernel);
  const wide = correlated({ map: image.data, side: 6, filter: Array.from(kernel.data), padding: 2, stride: 1 });
  const expected = correlated({ map: wide, side: 8, filter: square, padding: 0, stride: 2 });
  assert.close(
    found,
    expected.map((value) => value + 0.5),
    1e-5,
  );
});

test("what is not understood is refused by key and value", () => {
  const refused = (json: object, message: RegExp) => assert.throws(() => config({ img_resolution: 32, ...json }), message);
  refused({ model_type: "UNet" }, /Cannot use config.json: model_type: "UNet" is not understood/);
  refused({ model_type: "SongUNet", encoder_type: "wide" }, /encoder_type: "wide" is not understood/);
  refused({ model_type: "SongUNet", resample_filter: [1, 2, 1] }, /resample_filter: \[1,2,1\] is not understood/);
  refused({ model_type: "DhariwalUNet", encoder_type: "skip" }, /encoder_type: "skip" is not understood/);
});
test.run();
