/** InstaFlow's reflow against its definition in the paper's own coordinates, and a run of all its phases. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import "../../engine/gradients.ts";
import { tf } from "../../engine/tfjs.ts";
import { lineLevels, method } from "../../methods/instaflow.ts";
import type { Update } from "../../methods/method.ts";
import { optimiserOf, ownSettings } from "../../methods/registry.ts";
import { type DenoiserSpec, initDenoiser } from "../../models/denoiser.ts";
import { ingest } from "../../pipelines/ingest.ts";
import { pretrain } from "../../pipelines/pretrain.ts";
import { simulate } from "../../pipelines/simulate.ts";
import { train } from "../../pipelines/train.ts";
import { settingsSchema } from "../../recipes/settings.ts";
import { normals } from "../../schemas/numbers/philox.ts";
import { readDenoiser } from "../../stages/runs/model.ts";
import { openTripleStore } from "../../store/triples.ts";
import { assert, suite } from "../harness.ts";
import { toParameters } from "../models/parameters.ts";
import { inFolder, recordingContext, tinySettings, writeSquares } from "../train/fixture.ts";

const test = suite("instaflow");

test("the reflow's loss is the squared error of the velocity on X_t = t X1 + (1 - t) X0", () => {
  const settings = settingsSchema.parse({
    network: { width: 16, depth: 1, heads: 1, patch: 2, condition: "none" },
    train: { batch: 3, instaflow: { phase: "reflow" } },
  });
  const spec = { ...settings, shape: [4, 4, 1], classes: [], vocabulary: 0 } as unknown as DenoiserSpec;
  const weights = initDenoiser(spec, 1); // a fresh network answers 0, so D = cSkip x in closed form (Karras et al. 2022, table 1)
  const [noise, result] = ["noise", "result"].map((stream) => normals({ seed: 1, stream, length: 48 })) as [Float32Array, Float32Array];
  const times = [0.1, 0.5, 0.9];

  const errors = times.flatMap((t, row) =>
    Array.from({ length: 16 }, (_, i) => {
      const [x0, x1] = [noise[row * 16 + i]!, result[row * 16 + i]!];
      const xt = t * x1 + (1 - t) * x0;
      const sigma = (1 - t) / t;
      const clean = (0.25 / (sigma ** 2 + 0.25)) * (xt / t);
      const velocity = (clean - xt) / (1 - t);
      return (velocity - (x1 - x0)) ** 2;
    }),
  );
  const expected = errors.reduce((sum, error) => sum + error, 0) / errors.length;

  const job = { settings: ownSettings(method as never, settings.train), optimiser: optimiserOf(settings.train), seed: 0 };
  const programs = method.programs({ ...job, subject: { spec }, weights: { teacher: weights } });
  const { loss } = programs.reflow as Update;
  const levels = Object.entries(lineLevels(spec, times)).map(([name, values]) => [name, tf.tensor1d(values)]);
  const images = { noise: tf.tensor(noise, [3, 4, 4, 1]), clean: tf.tensor(result, [3, 4, 4, 1]), keep: tf.ones([3]) };
  const found = loss(toParameters(weights), { ...images, ...Object.fromEntries(levels) }, {}).loss.dataSync()[0]!;
  assert.ok(Math.abs(found - expected) < 1e-4 * expected, `${found} instead of ${expected}`);
});

test(
  "its phases end with a student of one step; the reflowed network between them is a teacher again",
  () =>
    inFolder(async (folder) => {
      const settings = tinySettings({
        train: { method: "instaflow", steps: 6, distanceEvery: 0, instaflow: { reflowSteps: 5, pairSteps: 4 } },
      });
      const at = (name: string): string => join(folder, name);
      const { context } = recordingContext();
      await ingest({ images: [await writeSquares(folder)], out: at("latents"), settings, context });
      await pretrain({ what: "teacher", data: at("latents"), out: at("teacher"), settings, context });
      await simulate({ teacher: at("teacher"), out: at("triples"), settings, context });
      const student = await train({ store: at("triples"), teacher: at("teacher"), out: at("student"), settings, context });

      assert.equal(student.description.sampler?.times, [settings.diffusion.sigmaMax]);
      const reflowed = await readDenoiser(at("student/reflow"));
      assert.is(reflowed.description.sampler?.times, "any");
      const pairs = (await openTripleStore({ folder: at("student/pairs") })).manifest;
      assert.is(pairs.teacher.hash, reflowed.description.hash);
      assert.equal([pairs.solver.steps, pairs.guidance, pairs.entries], [4, 1.5, settings.simulate.count]);
      const terms = (await readFile(at("student/metrics.jsonl"), "utf8"))
        .trim()
        .split("\n")
        .map((line) => Object.keys(JSON.parse(line)));
      assert.ok(terms.at(-1)!.includes("perceptual"), "the end of the distillation is perceptual");

      await simulate({ teacher: at("student/reflow"), out: at("own"), settings, context }); // by any solver, at the user's wish
      const message = await simulate({ teacher: at("student"), out: at("none"), settings, context }).catch((error: Error) => error.message);
      assert.match(String(message), /Cannot simulate .*student: it holds a student that is asked at fixed noise levels/);
    }),
  { seconds: 240 },
);

test.run();
