/** The course of diffusers' U-Nets: its places, where it can end, and what is added at a skip connection. */
import { createEngine } from "../../engine/engine.ts";
import { tf, type Tensor } from "../../engine/tfjs.ts";
import { type Course, diffusersUnet } from "../../models/families/diffusers-unet.ts";
import { createInitialiser } from "../../models/initialise.ts";
import { assert, suite } from "../harness.ts";

const test = suite("diffusers' U-Nets");

const course: Course = {
  down: [{ layers: 1, resampling: "conv" }, { layers: 1 }],
  middle: { layers: 1 },
  up: [{ layers: 2, resampling: "conv" }, { layers: 2 }],
  resnet: { groups: 2, epsilon: 1e-5 },
  middleDivisor: 1,
  padding: 1,
};
const places = [
  ...["conv_in", "down_blocks.0.resnets.0", "down_blocks.0.downsamplers.0", "down_blocks.1.resnets.0", "mid_block.resnets.0"],
  ...["skips.3", "up_blocks.0.resnets.0.joined", "up_blocks.0.resnets.0"],
  ...["skips.2", "up_blocks.0.resnets.1.joined", "up_blocks.0.resnets.1", "up_blocks.0.upsamplers.0"],
  ...["skips.1", "up_blocks.1.resnets.0.joined", "up_blocks.1.resnets.0"],
  ...["skips.0", "up_blocks.1.resnets.1.joined", "up_blocks.1.resnets.1"],
];

/** Weights of 4 channels everywhere, of a vector of 3. */
function weights() {
  const init = createInitialiser(1);
  init.conv("conv_in", 3, 2, 4);
  for (const name of places.filter((place) => /resnets\.\d$/.test(place))) {
    const inputs = name.startsWith("up_") ? 8 : 4;
    init.norm(`${name}.norm1`, inputs);
    init.conv(`${name}.conv1`, 3, inputs, 4);
    init.linear(`${name}.time_emb_proj`, 3, 4);
    init.norm(`${name}.norm2`, 4);
    init.conv(`${name}.conv2`, 3, 4, 4);
    if (inputs !== 4) init.conv(`${name}.conv_shortcut`, 1, inputs, 4);
  }
  for (const name of places.filter((place) => place.endsWith("samplers.0"))) init.conv(`${name}.conv`, 3, 4, 4);
  init.norm("conv_norm_out", 4);
  init.conv("conv_out", 3, 4, 2);
  return init.weights;
}

/** What the network makes of an image of an odd size, with or without ones added at a place. */
async function run({ last, at }: { last?: string; at?: string } = {}) {
  const passed: string[] = [];
  const shapes: Record<string, number[]> = {};
  const engine = await createEngine({ device: "cpu", threads: 1 });
  const program = await engine.compile({
    name: "course",
    sets: { network: engine.constants("network", weights()) },
    inputs: { sample: { shape: [1, 5, 7, 2] }, vector: { shape: [1, 3] } },
    run: ({ network }, { sample, vector }) => {
      const taps: Record<string, Tensor> = {};
      const out = diffusersUnet(
        course,
        network,
        { sample: sample as Tensor, vector: vector as Tensor },
        {
          tap: (place, features) => {
            passed.push(place);
            taps[place] = features;
          },
          inject: (place, features) => (place === at ? tf.add(features, 1) : features),
          ...(last !== undefined && { last }),
        },
      );
      shapes.out = out.shape;
      return { outputs: { out, middle: taps["mid_block.resnets.0"] as Tensor } };
    },
  });
  const { out, middle } = await program.run({
    sample: Float32Array.from({ length: 70 }, (_, i) => Math.sin(i)),
    vector: Float32Array.of(1, -2, 3),
  });
  return { passed, shapes, out: out as Float32Array, middle: middle as Float32Array };
}

test("features pass all places in order, and an odd size comes back", async () => {
  const { passed, shapes } = await run();
  assert.equal(passed, places);
  assert.equal(shapes.out, [1, 5, 7, 2]);
});

test("it ends at the last place that is asked for", async () => {
  const { passed, shapes, out, middle } = await run({ last: "mid_block.resnets.0" });
  assert.equal(passed, places.slice(0, 5));
  assert.equal(shapes.out, [1, 3, 4, 4]);
  assert.equal(out, middle);
});

test("what is added to a skip connection reaches the way up alone", async () => {
  const [plain, added] = [await run(), await run({ at: "skips.1" })];
  assert.equal(added.middle, plain.middle);
  assert.not.equal(added.out, plain.out);
});

test.run();
