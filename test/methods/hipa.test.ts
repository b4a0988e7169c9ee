/** HiPA's terms against sums written out for images that are known, and trainings through a decoder and through several networks. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import "../../engine/gradients.ts";
import { type Tensor, tf } from "../../engine/tfjs.ts";
import { method } from "../../methods/hipa.ts";
import type { Update } from "../../methods/method.ts";
import { optimiserOf, ownSettings } from "../../methods/registry.ts";
import { type DenoiserSpec, initDenoiser } from "../../models/denoiser.ts";
import { loadTracedFeatures } from "../../models/features/load.ts";
import { ingest } from "../../pipelines/ingest.ts";
import { pretrain } from "../../pipelines/pretrain.ts";
import { simulate } from "../../pipelines/simulate.ts";
import { train } from "../../pipelines/train.ts";
import { settingsSchema } from "../../recipes/settings.ts";
import { normals } from "../../schemas/numbers/philox.ts";
import { readCodec, readDenoiser } from "../../stages/runs/model.ts";
import { readLatestCheckpoint } from "../../stages/train/checkpoint.ts";
import { assert, suite } from "../harness.ts";
import { toParameters } from "../models/parameters.ts";
import { inFolder, recordingContext, tinySettings, withTriples, writeSquares } from "../train/fixture.ts";

const test = suite("hipa");

const SIDE = 8;
const statistics = { mean: [0.1, 0, -0.2], std: [0.5, 0.25, 0.4], min: [0, 0, 0], max: [0, 0, 0], nonFinite: 0 };

/** The update of these settings over a fresh network of pixels, which answers D = cSkip x in closed form. */
async function updateOf(own: object) {
  const settings = settingsSchema.parse({
    network: { width: 16, depth: 1, heads: 1, patch: 2, condition: "none" },
    train: { batch: 2, hipa: own },
  });
  const spec = { ...settings, shape: [SIDE, SIDE, 3], classes: [], vocabulary: 0 } as unknown as DenoiserSpec;
  const weights = initDenoiser(spec, 1);
  const { networks, weights: features } = await loadTracedFeatures({ paths: ["builtin"], imageSize: SIDE, setting: "train.features" });
  const codec = { kind: "pixel", imageSize: SIDE, shape: [SIDE, SIDE, 3] as [number, number, number], hash: "pixel" };
  const job = { settings: ownSettings(method as never, settings.train), optimiser: optimiserOf(settings.train), seed: 0 };
  const programs = method.programs({
    ...job,
    subject: { spec, codec, statistics, features: networks },
    weights: { teacher: weights, features },
  });
  const read = { codec: {}, features: toParameters(features) };
  return (inputs: Record<string, Tensor>) => (programs.step as Update).loss(toParameters(weights), { ...inputs, keep: tf.ones([2]) }, read);
}

const draw = (stream: string): Float32Array => normals({ seed: 1, stream, length: 2 * SIDE * SIDE * 3 }).map((value) => 0.5 * value);
const number = (x?: Tensor): number => x?.dataSync()[0] as number;

test("edges and waves are those of the images behind the latents, with the weights that the settings say", async () => {
  await tf.setBackend("cpu");
  const [noise, target] = [draw("noise"), draw("target")];
  const skip = 0.25 / (80 ** 2 + 0.25);
  const inputs = { noise: tf.tensor(noise, [2, SIDE, SIDE, 3]), latent: tf.tensor(target, [2, SIDE, SIDE, 3]) };
  /** Differences of images: the means of the normalisation go away, and its deviations come back. */
  const difference = Float64Array.from(noise, (value, at) => ((skip * 80 * value - target[at]!) * statistics.std[at % 3]!) / 0.5);
  const grey = (row: number, y: number, x: number): number => {
    const at = ((row * SIDE + y) * SIDE + x) * 3;
    return 0.299 * difference[at]! + 0.587 * difference[at + 1]! + 0.114 * difference[at + 2]!;
  };
  let edges = 0;
  for (const row of [0, 1]) {
    for (let y = 1; y < SIDE - 1; y++) {
      for (let x = 1; x < SIDE - 1; x++) {
        const smoothed = (dx: number, dy: number): number =>
          [-1, 0, 1].reduce((sum, along) => sum + (2 - Math.abs(along)) * grey(row, y + (dy || along), x + (dx || along)), 0);
        edges += Math.abs(smoothed(1, 0) - smoothed(-1, 0)) + Math.abs(smoothed(0, 1) - smoothed(0, -1));
      }
    }
  }
  edges /= 2 * 2 * (SIDE - 2) ** 2;
  let waves = 0;
  for (const row of [0, 1]) {
    for (const channel of [0, 1, 2]) {
      const plane = Float64Array.from({ length: SIDE * SIDE }, (_, at) => difference[(row * SIDE * SIDE + at) * 3 + channel]!);
      const passed = new Float64Array(SIDE * SIDE);
      for (let v = -3; v <= 4; v++) {
        for (let u = -3; u <= 4; u++) {
          if (Math.hypot(u, v) <= 2) continue; // a quarter of the side
          let [re, im] = [0, 0];
          const angle = (at: number): number => (2 * Math.PI * (u * (at % SIDE) + v * Math.floor(at / SIDE))) / SIDE;
          plane.forEach((value, at) => {
            re += value * Math.cos(angle(at));
            im -= value * Math.sin(angle(at));
          });
          passed.forEach((_, at) => {
            passed[at]! += (re * Math.cos(angle(at)) - im * Math.sin(angle(at))) / SIDE ** 2;
          });
        }
      }
      waves += passed.reduce((sum, value) => sum + Math.abs(value), 0);
    }
  }
  waves /= difference.length;
  const { loss, metrics } = (
    await updateOf({ spatialWeight: 3, highWeight: 0.5, edgeWeight: 2, fourierWeight: 4, fourier: "waves", latentWeight: 5 })
  )(inputs);
  assert.close(number(metrics.edges), edges, 1e-4 * edges);
  assert.close(number(metrics.fourier), waves, 1e-4 * waves);
  const latent = noise.reduce((sum, value, at) => sum + (skip * 80 * value - target[at]!) ** 2, 0) / noise.length;
  assert.close(number(metrics.latent), latent, 1e-4 * latent);
  assert.close(number(loss), 3 * number(metrics.spatial) + edges + 2 * waves + 5 * latent, 1e-3);
});

test("a student that answers the teacher's results has nothing to lose, and the teacher's energy in the finest band", async () => {
  await tf.setBackend("cpu");
  const noise = draw("noise");
  const latent = noise.map((value) => ((0.25 * 80) / (80 ** 2 + 0.25)) * value);
  const inputs = { noise: tf.tensor(noise, [2, SIDE, SIDE, 3]), latent: tf.tensor(latent, [2, SIDE, SIDE, 3]) };
  for (const own of [{ latentWeight: 1 }, { spatial: "lpips", fourier: "waves", norm: "squared", filter: "box" }]) {
    const { loss, metrics } = (await updateOf(own))(inputs);
    assert.close(number(loss), 0, 2e-4);
    assert.close(number(metrics.finest), 0, 1e-2);
  }
});

test(
  "through an autoencoder: adaptors alone are trained, on images of the decoder that stays as it is",
  () =>
    inFolder(async (folder) => {
      const settings = tinySettings({
        train: { method: "hipa", steps: 6, distanceEvery: 0, checkpointEvery: 3, hipa: { rank: 2, targets: ["attention"] } },
      });
      const at = (name: string): string => join(folder, name);
      const { context } = recordingContext();
      const images = [await writeSquares(folder)];
      await ingest({ images, out: at("pixels"), settings, context });
      await pretrain({ what: "autoencoder", data: at("pixels"), out: at("autoencoder"), settings, context });
      const encoded = { ...settings, encoder: { ...settings.encoder, kind: "autoencoder" as const, path: at("autoencoder") } };
      await ingest({ images, out: at("latents"), settings: encoded, context });
      await pretrain({ what: "teacher", data: at("latents"), out: at("teacher"), settings: encoded, context });
      await simulate({ teacher: at("teacher"), out: at("triples"), settings: encoded, context });
      const student = await train({ store: at("triples"), teacher: at("teacher"), out: at("student"), settings: encoded, context });

      const { sets } = (await readLatestCheckpoint({ folder: at("student") }))!;
      const names = Object.keys(sets["student.network"]!);
      assert.ok(names.length > 0 && names.every((name) => /attention\..+\.lora\.(down|up)$/.test(name)), names.join());
      const teacher = await readDenoiser(at("teacher"));
      for (const [name, { data }] of Object.entries(student.weights)) {
        const isSame = data.every((value, i) => value === teacher.weights[name]!.data[i]);
        assert.is(isSame, !/attention\.(qkv|out)\.kernel$/.test(name), name);
      }
      assert.equal((await readCodec(at("student"), context)).description, (await readCodec(at("teacher"), context)).description);
      const line = JSON.parse((await readFile(at("student/metrics.jsonl"), "utf8")).trim().split("\n").at(-1)!);
      for (const figure of ["spatial", "edges", "fourier", "finest"]) assert.ok(Number.isFinite(line[figure]), figure);
      assert.equal(student.description.sampler?.times, [settings.diffusion.sigmaMax]);
    }),
  { seconds: 120 },
);

test(
  "image networks are looked through together; one that is not there is named with its setting, another one is another run",
  () =>
    inFolder(async (folder) => {
      const settings = tinySettings({ train: { method: "hipa", steps: 2, distanceEvery: 0, features: ["builtin", "builtin"] } });
      const { at, context } = await withTriples(folder, settings);
      const request = { store: at("triples"), teacher: at("teacher"), context };
      await train({ ...request, out: at("student"), settings });
      const one = { ...settings, train: { ...settings.train, features: "builtin" } };
      await assert.rejects(
        train({ ...request, out: at("student"), settings: one }),
        /Cannot resume .*an image network \(train\.features\)/,
      );
      const none = { ...settings, train: { ...settings.train, features: "none.safetensors" } };
      await assert.rejects(
        train({ ...request, out: at("other"), settings: none }),
        /none\.safetensors: there is no such file; set train\.features to/,
      );
    }),
  { seconds: 120 },
);

test.run();
