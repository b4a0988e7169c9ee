/** What every method that makes students promises: overlap without nondeterminism, and exact resume, phases counted in. */
import { join } from "node:path";
import { methodNames } from "../../methods/registry.ts";
import { ingest } from "../../pipelines/ingest.ts";
import { pretrain } from "../../pipelines/pretrain.ts";
import { run } from "../../pipelines/run.ts";
import { simulate } from "../../pipelines/simulate.ts";
import { train } from "../../pipelines/train.ts";
import { assert, suite } from "../harness.ts";
import { contents, inFolder, recordingContext, tinySettings, withTriples, writeSquares } from "../train/fixture.ts";

const test = suite("every method");

for (const method of methodNames()) {
  /** Phases of a few steps. */
  const short = { method, instaflow: { reflowSteps: 4, pairSteps: 3 } };

  test(
    `${method}: an overlapped run gives the student, store and pictures of one stage after the other, to the bit`,
    () =>
      inFolder(async (folder) => {
        const images = await writeSquares(folder);
        const settings = tinySettings({ train: { ...short, steps: 12, stepsPerShard: 1 } });
        const { context } = recordingContext();
        const at = (name: string): string => join(folder, name);
        await ingest({ images: [images], out: at("latents"), settings, context });
        await pretrain({ what: "perceptual", data: at("latents"), out: at("perceptual"), settings, context });
        await pretrain({ what: "teacher", data: at("latents"), out: at("teacher"), settings, context });
        const withPerceptual = tinySettings({
          train: { ...short, steps: 12, stepsPerShard: 1, perceptual: at("perceptual"), images: at("latents") },
        });
        await simulate({ teacher: at("teacher"), conditions: at("latents"), out: at("triples"), settings: withPerceptual, context });
        await train({ store: at("triples"), teacher: at("teacher"), out: at("student"), settings: withPerceptual, context });

        const events = recordingContext();
        await run({ images: [images], out: at("run"), teacher: at("teacher"), settings: withPerceptual, context: events.context });
        assert.equal(Object.keys(await contents(at("run/triples"))), Object.keys(await contents(at("triples"))));
        for (const part of ["latents", "triples", "student"]) {
          const settingsFile = /settings\.yaml$/; // ingest was told less in one case than in the other
          const [overlapped, sequential] = [await contents(at(`run/${part}`), settingsFile), await contents(at(part), settingsFile)];
          assert.equal(Object.keys(overlapped).sort(), Object.keys(sequential).sort());
          for (const [name, bytes] of Object.entries(sequential)) assert.ok(overlapped[name] === bytes, `${part}/${name} differs`);
        }
        assert.ok((await contents(folder))["run/samples.png"]);
      }),
    { seconds: 240 },
  );

  test(
    `${method}: training stopped at any step and started again ends with the bits of an unbroken run`,
    () =>
      inFolder(async (folder) => {
        const settings = tinySettings({ train: { ...short, steps: 9, checkpointEvery: 3, pictureEvery: 100 } });
        const { at, context } = await withTriples(folder, settings);
        const withImages = { ...settings, train: { ...settings.train, images: at("latents") } };
        const request = { store: at("triples"), teacher: at("teacher"), settings: withImages };
        await train({ ...request, out: at("whole"), context });

        for (const last of [1, 4, 7]) {
          const broken = recordingContext();
          const stopping = {
            ...broken.context,
            report: (event: Parameters<typeof broken.context.report>[0]) => {
              if (event.type === "progress" && event.stage === "train" && event.done === last) broken.stop(new Error("stopped"));
            },
          };
          await train({ ...request, out: at("broken"), context: stopping }).then(
            () => assert.unreachable("it was to stop"),
            (error: Error) => assert.is(error.message, "stopped"),
          );
        }
        await train({ ...request, out: at("broken"), context });
        const [whole, broken] = [await contents(at("whole")), await contents(at("broken"))];
        assert.ok(whole["distance.svg"] && whole["metrics.jsonl"], "the distance was measured");
        assert.equal(Object.keys(broken).sort(), Object.keys(whole).sort());
        for (const [name, bytes] of Object.entries(whole)) assert.ok(broken[name] === bytes, `${name} differs`);
      }),
    { seconds: 240 },
  );
}

test.run();
