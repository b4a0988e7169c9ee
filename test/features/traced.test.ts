/** Image networks inside traced functions: the maps that they compare by, at the sizes they say, with the gradients of differences. */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { createEngine } from "../../engine/engine.ts";
import { type Tensor, tf } from "../../engine/tfjs.ts";
import { builtinTaps } from "../../models/features/builtin.ts";
import { loadFeatureNetwork, loadTracedFeatures } from "../../models/features/load.ts";
import { planResize, resizeMatrix } from "../../models/features/resize.ts";
import { tracedFeatureSets, tracedFeatures } from "../../models/features/traced.ts";
import { separable } from "../../models/layers.ts";
import { integers, normals } from "../../schemas/numbers/philox.ts";
import { assert, suite } from "../harness.ts";
import { toParameters } from "../models/parameters.ts";

const test = suite("traced features");
test.before(async () => {
  await tf.setBackend("cpu");
});

const folder = fileURLToPath(new URL("../../../shared/data/features/", import.meta.url));
const published = [
  `${folder}cifar10-resnet20/resnet20-12fca82f.safetensors`,
  `${folder}mobilenet-v2/mobilenet_v2_1.0_features-fp16.safetensors`,
];
const setting = "train.features";

/** Images in [-1, 1]. */
const images = (side: number, rows = 1): Float32Array =>
  normals({ seed: 4, stream: "images", length: rows * side * side * 3 }).map((value) => Math.tanh(value / 2));

test("the last map's means are the features by which sets of images are compared", async () => {
  const network = await loadFeatureNetwork({ path: "builtin", imageSize: 64 });
  const { networks, weights } = await loadTracedFeatures({ paths: ["builtin"], imageSize: 64, setting });
  const x = tf.tensor(images(64), [1, 64, 64, 3]);
  const [taps] = tracedFeatureSets(networks)(toParameters(weights), x);
  const alone = tracedFeatures(networks[0]!)(toParameters(network.parameters), x);
  for (const [i, tap] of alone.entries()) assert.equal([...tap.dataSync()], [...taps![i]!.dataSync()]);
  const compared = network.apply(toParameters(network.parameters), tf.mul(tf.add(x, 1), 127.5));
  assert.close(tf.mean(taps!.at(-1)!, [1, 2]).dataSync(), compared.dataSync(), 1e-5);
  assert.is(networks[0]!.hash, network.hash);
});

const paths = ["builtin", ...(existsSync(published[0]!) ? published : [])];
if (paths.length === 1) test.skip("published networks", "../shared/data is absent");

test("several networks are one set; the maps of each have the sides and channels that it tells", async () => {
  const { networks, weights } = await loadTracedFeatures({ paths, imageSize: 28, setting });
  const engine = await createEngine({ device: "cpu", threads: 1 });
  try {
    const program = await engine.compile({
      name: "taps",
      sets: { features: engine.constants("features", weights) },
      inputs: { x: { shape: [2, 28, 28, 3] } },
      run: ({ features }, { x }) => {
        const all = tracedFeatureSets(networks)(features, x as Tensor);
        return { outputs: Object.fromEntries(all.flatMap((taps, i) => taps.map((tap, j) => [`${i}.${j}`, tap] as const))) };
      },
    });
    const outputs = await program.run({ x: images(28, 2) });
    for (const [i, { maps, kind }] of networks.entries()) {
      for (const [j, { side, channels }] of maps.entries()) {
        const tap = outputs[`${i}.${j}`]!;
        assert.is(tap.length, 2 * side * side * channels, `${kind}, map ${j}`);
        assert.ok(tap.every(Number.isFinite) && tap.some((value) => value !== tap[0]), `${kind}, map ${j}`);
      }
      assert.not.ok(outputs[`${i}.${maps.length}`], `${kind} has ${maps.length} maps`);
    }
    assert.equal(
      networks.map(({ maps }) => maps.map(({ channels }) => channels)),
      [
        [32, 64, 96, 64],
        [16, 32, 64],
        [16, 24, 32, 96, 320],
      ].slice(0, networks.length),
    );
  } finally {
    await engine.dispose();
  }
});

test("images of another size are resized by the filter that distances are measured with", () => {
  for (const [from, to] of [
    [28, 64],
    [100, 64],
  ] as const) {
    const bytes = Uint8Array.from(integers({ seed: 1, stream: "bytes", length: from * from * 3, below: 100 })).map((value) => value + 78);
    const matrix = tf.tensor2d(resizeMatrix(from, to), [from, to]);
    const found = separable(tf.tensor(Float32Array.from(bytes), [1, from, from, 3]), { rows: matrix, columns: matrix });
    assert.close(found.dataSync(), planResize({ height: from, width: from, size: to })(bytes), 2e-3); // nothing is clamped here
  }
});

test("gradients of every network's maps are those of differences", async () => {
  const { networks, weights } = await loadTracedFeatures({ paths, imageSize: 32, setting });
  const engine = await createEngine({ device: "cpu", threads: 1 });
  try {
    const shape = [1, 32, 32, 3];
    const x = images(32);
    const direction = normals({ seed: 9, stream: "direction", length: x.length });
    const features = engine.constants("features", weights);
    for (const [i, { kind }] of networks.entries()) {
      const program = await engine.compile({
        name: kind,
        sets: { features },
        inputs: { x: { shape } },
        run: ({ features: parameters }, given) => {
          const length = (t: Tensor): Tensor =>
            tf.addN((tracedFeatureSets(networks)(parameters, t)[i] as Tensor[]).map((tap) => tf.mean(tf.square(tap))));
          return { outputs: { length: length(given.x!), gradient: tf.grad(length as never)(given.x as never) } };
        },
      });
      const { gradient } = (await program.run({ x })) as { gradient: Float32Array };
      const along = gradient.reduce((sum, value, at) => sum + value * direction[at]!, 0);
      const value = async (by: number): Promise<number> =>
        (await program.run({ x: x.map((v, at) => v + by * direction[at]!) })).length![0]!;
      const difference = ((await value(1e-4)) - (await value(-1e-4))) / 2e-4;
      assert.close(difference, along, 0.08 * Math.abs(along), kind); // kinks of ReLUs lie everywhere
      assert.ok(Math.abs(along) > 1e-3, `${kind} is flat: ${along}`);
    }
  } finally {
    await engine.dispose();
  }
});

test("a missing file is refused in the words of the setting that named it", async () => {
  await assert.rejects(
    loadTracedFeatures({ paths: ["nothing.safetensors"], imageSize: 32, setting }),
    /Cannot load the feature network nothing\.safetensors: there is no such file; set train\.features to "auto"/,
  );
  const x = tf.tensor(images(16), [1, 16, 16, 3]);
  const { parameters } = await loadFeatureNetwork({ path: "builtin", imageSize: 16 });
  assert.equal(
    builtinTaps(toParameters(parameters), x).map(({ shape }) => shape[1]),
    [8, 4, 2, 1],
  );
});

test.run();
