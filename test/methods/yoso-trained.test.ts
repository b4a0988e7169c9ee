/** Students by YOSO on their way through files: adapted, as a LoRA, from scratch, and refused where there is nothing to learn from. */
import { initDenoiser } from "../../models/denoiser.ts";
import { train } from "../../pipelines/train.ts";
import { readDenoiser } from "../../stages/runs/model.ts";
import { assert, suite } from "../harness.ts";
import { contents, inFolder, recordingContext, tinySettings, withTriples } from "../train/fixture.ts";

const test = suite("students by yoso");

const settingsOf = (yoso: object, more = {}) =>
  tinySettings({ train: { steps: 7, checkpointEvery: 2, pictureEvery: 100, distanceEvery: 0, method: "yoso", yoso, ...more } });

test(
  "a LoRA of a teacher's triples changes to v without terminal signal, and resumes to the bit within each stage",
  () =>
    inFolder(async (folder) => {
      const adapter = { lora: { rank: 2, alpha: 2, targets: ["attention", "mlp"] } };
      const settings = settingsOf({ data: "teacher", adapt: "v-zero", vSteps: 2, zeroSteps: 2, discriminatorDepth: 1, adapter });
      const { at, context } = await withTriples(folder, settings);
      const request = { store: at("triples"), teacher: at("teacher"), settings };
      await train({ ...request, out: at("whole"), context });
      const { description, weights } = await readDenoiser(at("whole"));
      const teacher = await readDenoiser(at("teacher"));
      const { parameterisation, sigmaMax } = description.spec.diffusion;
      assert.equal([parameterisation, sigmaMax, description.sampler?.times], ["vp-v-zero", 1e8, [1e8]]);
      assert.equal(description.sampler?.prior, { mean: [0, 0, 0], std: [0.5, 0.5, 0.5] });
      for (const [name, { data }] of Object.entries(weights)) {
        const isSame = data.every((value, i) => value === teacher.weights[name]!.data[i]);
        assert.is(isSame, !/^blocks\.\d+\.(attention\.(qkv|out)|up|down)\.kernel$/.test(name), name);
      }

      for (const last of [1, 3, 5]) {
        const broken = recordingContext();
        const stopping = {
          ...broken.context,
          report: (event: Parameters<typeof broken.context.report>[0]) => {
            if (event.type === "progress" && event.stage === "train" && event.done === last) broken.stop(new Error("stopped"));
          },
        };
        await assert.rejects(train({ ...request, out: at("broken"), context: stopping }), "stopped");
      }
      await train({ ...request, out: at("broken"), context });
      assert.equal(await contents(at("broken")), await contents(at("whole")));
    }),
  { seconds: 240 },
);

test(
  "from scratch its weights are fresh, in whatever parameterisation, and images are what it learns from",
  () =>
    inFolder(async (folder) => {
      const own = { from: "scratch", adapt: "v", discriminatorDepth: 1 };
      const settings = settingsOf(own, { steps: 2, learningRate: 1e-9, weightDecay: 0 });
      const { at, context } = await withTriples(folder, settings);
      const request = { teacher: at("teacher"), out: at("student"), context };
      await assert.rejects(train({ ...request, settings }), /Cannot train by yoso without images: name a store of `pipeline ingest`/);
      await train({ ...request, settings: { ...settings, train: { ...settings.train, images: at("latents") } } });
      const { description, weights } = await readDenoiser(at("student"));
      assert.is(description.spec.diffusion.parameterisation, "vp-v");
      const fresh = initDenoiser(description.spec, settings.seed);
      for (const [name, { data }] of Object.entries(weights)) assert.close([...data], [...fresh[name]!.data], 1e-7, name);
    }),
  { seconds: 120 },
);

test.run();
