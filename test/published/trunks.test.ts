/**
 * Published networks as discriminators' trunks: what is cut off is not needed, what is kept is trained, and the games of methods whose
 * discriminators begin as the teacher are played on them.
 */
import { cpSync } from "node:fs";
import { join } from "node:path";
import { createEngine } from "../../engine/engine.ts";
import { tf, type Tensor } from "../../engine/tfjs.ts";
import { applyDiscriminator, initDiscriminator } from "../../models/critics/discriminator.ts";
import { familyOf } from "../../models/families/registry.ts";
import type { Parameters } from "../../models/layers.ts";
import { generatorLoss } from "../../models/losses/adversarial.ts";
import { lossAndGradients } from "../../models/training/optimiser.ts";
import { ingest } from "../../pipelines/ingest.ts";
import { simulate } from "../../pipelines/simulate.ts";
import { train } from "../../pipelines/train.ts";
import { readDenoiser } from "../../stages/runs/model.ts";
import { assert, suite } from "../harness.ts";
import { freshFolder } from "../simulate/fixture.ts";
import { recordingContext, tinySettings, writeSquares } from "../train/fixture.ts";
import { arePipelines, bagOf, goldenDenoiser, inputsOf } from "./denoisers.ts";
import { pipelines } from "./golden.ts";

const test = suite("published trunks");

/** Parameters whose names are added to `read` as they are read. */
function watched(parameters: Parameters, read: Set<string>): Parameters {
  return new Proxy(parameters, {
    get: (all, name) => {
      read.add(String(name));
      return all[String(name)];
    },
  });
}

/**
 * Parameters whose slope is exactly zero here: EDM's for classes and augmentation, of which there are none in these inputs, and what
 * the last block's text asks, for nobody reads what it is answered.
 */
const still = /^model\.map_(augment|label)\.kernel$|\.attn\.(add_q_proj\.|norm_added_q\.)/;

/** Pictures of ten classes that are called as EDM's teacher calls them, one of each. */
async function writeClasses(folder: string): Promise<string> {
  const squares = await writeSquares(folder);
  const home = join(folder, "classes");
  for (let label = 0; label < 10; label++) cpSync(join(squares, "warm", `${2 * label}.png`), join(home, String(label), "0.png"));
  return home;
}

const largest = (of: Tensor): Tensor => tf.max(tf.abs(of));

if (!arePipelines()) test.skip("of tiny pipelines", "there is no ../shared/pipelines");
else {
  for (const name of ["ddpm", "dit", "edm", "flux", "pixart", "sd15", "sd3", "sdxl"]) {
    test(
      `${name}: a trunk sees what the whole network sees, needs no more than it keeps, and all of that is trained`,
      async () => {
        const { spec, weights, inputs } = await goldenDenoiser(name);
        const config = { spec, depth: 2, scales: [1, 2] };
        const kept = initDiscriminator({ config, teacherWeights: weights, seed: 1 });
        const family = familyOf(spec);
        const { heads, last, map, core } = family.trunk!({ depth: 2, scales: [1, 2] });
        const inner = Object.fromEntries(Object.entries(weights).filter(([of]) => (core ?? { uses: () => false }).uses(of)));
        const read = new Set<string>();
        const engine = await createEngine({ device: "cpu", threads: 1 });
        const { declared, values } = inputsOf(inputs);
        const program = await engine.compile({
          name,
          sets: { whole: engine.variables("whole", weights), kept: engine.variables("kept", kept) }, // constants would be folded, at length
          inputs: declared,
          run: ({ whole, kept: trunk }, tensors) => {
            const { x, noiseLevel, ...condition } = bagOf(tensors);
            const featuresOf = (parameters: Parameters, end?: string): Tensor[] => {
              const seen = new Map<string, Tensor>();
              const tap = (place: string, features: Tensor) => void seen.set(place, features);
              family.apply(parameters, { x, noiseLevel, ...condition }, end === undefined ? { tap } : { tap, last: end });
              return heads.map(({ place, channels }) => {
                const features = map(seen.get(place)!);
                assert.is(features.shape[3], channels, place);
                return features;
              });
            };
            const [all, cut] = [featuresOf(whole), featuresOf(trunk, last)];
            const apart = all.map((features, i) => largest(tf.sub(features, cut[i]!)));
            if (core) {
              const own = watched(Object.fromEntries(Object.keys(inner).map((of) => [of, whole[of]!])), read);
              const features = family.apply(own, { x, noiseLevel, ...condition }, { last: core.last });
              assert.is(map(features).shape[3], core.channels);
            }
            const judged = (parameters: Parameters): Tensor[] => applyDiscriminator(config, parameters, { x, z: tf.mul(x, -1), condition });
            const { gradients } = lossAndGradients(trunk, (parameters) => ({ loss: generatorLoss(judged(parameters)), metrics: {} }));
            const slopes = Object.keys(kept).map((of) => largest(gradients[of]!));
            return { outputs: { apart: tf.stack(apart), slopes: tf.stack(slopes) } };
          },
        });
        const { apart, slopes } = await program.run(values);
        assert.ok(
          apart!.every((difference) => difference === 0),
          "features differ",
        );
        assert.ok(slopes!.every(Number.isFinite));
        const without = Object.keys(kept).filter((_, i) => slopes![i] === 0);
        assert.equal(
          without.filter((of) => !still.test(of)),
          [],
        );
        assert.equal(
          Object.keys(inner).filter((of) => !read.has(of)),
          [],
        );
      },
      { seconds: 120 },
    );
  }

  const lora = { rank: 2, alpha: 2, targets: ["attention", "mlp"] };
  const games = [
    ["ddpm", "diffusion2gan", { discriminator: "teacher", adversarialStart: 0, perceptualWeight: 0, latentWeight: 1, r1Weight: 0 }],
    ["dit", "yoso", { data: "teacher", consistencyLoss: "squared", adapter: { lora } }],
    ["edm", "scott", { adversarialStart: 0, subSteps: 1, discriminatorRank: 2 }],
  ] as const;
  for (const [name, method, own] of games) {
    test(
      `${name}: ${method} plays against a discriminator that begins as this teacher`,
      async () => {
        const folder = freshFolder();
        const [triples, images, out] = ["triples", "latents", "student"].map((part) => join(folder, part)) as [string, string, string];
        const teacher = join(pipelines, name);
        const { context, events } = recordingContext();
        const tiny = tinySettings({ simulate: { count: 4, steps: 2, guidance: 1, batch: 4, rowsPerShard: 4 } });
        const isFromImages = method === "scott";
        const settings = {
          ...tiny,
          images: { ...tiny.images, size: 32 },
          train: {
            ...tiny.train,
            method,
            steps: 2,
            batch: 2,
            distanceEvery: 0,
            pictureEvery: 2,
            checkpointEvery: 2,
            warmup: 0,
            stepsPerShard: 1,
            [method]: { ...(tiny.train[method] as object), ...own },
            ...(isFromImages && { images }),
          },
        };
        if (isFromImages) await ingest({ images: [await writeClasses(folder)], out: images, settings, context });
        else await simulate({ teacher, out: triples, settings, context });
        await train({ store: isFromImages ? undefined : triples, teacher, out, settings, context });
        const steps = events.flatMap((event) => (event.type === "progress" && event.stage === "train" ? [event.values ?? {}] : []));
        assert.is(steps.length, 2);
        for (const values of steps)
          assert.ok(Number.isFinite(values.d_loss) && Number.isFinite(values.adversarial), JSON.stringify(values));
        assert.is((await readDenoiser(out)).description.spec.network.kind, "published");
      },
      { seconds: 240 },
    );
  }
}

test.run();
