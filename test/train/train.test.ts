import { cp, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Weights } from "../../engine/weights.ts";
import { ingest } from "../../pipelines/ingest.ts";
import { pretrain } from "../../pipelines/pretrain.ts";
import { run } from "../../pipelines/run.ts";
import { train } from "../../pipelines/train.ts";
import type { Settings } from "../../schemas/settings.ts";
import { readLatestCheckpoint } from "../../stages/train/checkpoint.ts";
import { readDenoiser } from "../../stages/runs/model.ts";
import { assert, suite } from "../harness.ts";
import { contents, inFolder, recordingContext, tinySettings, withTriples, writeSquares } from "./fixture.ts";

const test = suite("train");

/** The settings with other ones of the training; those of the method's group are laid over the group. */
function withTrain(settings: Settings, changes: Partial<Settings["train"]>): Settings {
  const diffusion2gan = { ...(settings.train.diffusion2gan as object), ...(changes.diffusion2gan as object) };
  return { ...settings, train: { ...settings.train, ...changes, diffusion2gan } };
}

test(
  "a student starts from an earlier one, which must be of such a teacher",
  () =>
    inFolder(async (folder) => {
      const settings = tinySettings({ train: { steps: 2, distanceEvery: 0, diffusion2gan: { adversarialStart: 0 } } });
      const { at, context } = await withTriples(folder, settings);
      const students = async (out: string, changes: Partial<Settings["train"]>) =>
        train({ store: at("triples"), teacher: at("teacher"), out: at(out), settings: withTrain(settings, changes), context });
      const first = await students("first", { learningRate: 1e-2 });
      const still = { from: at("first"), learningRate: 1e-9, diffusion2gan: { discriminatorRate: 1e-9 } };
      const second = await students("second", still);
      const farthest = (a: Weights, b: Weights): number => {
        const differences = Object.entries(a).map(([name, { data }]) =>
          data.map((value, i) => Math.abs(value - (b[name]?.data[i] ?? Number.NaN))),
        );
        return Math.max(...differences.map((values) => values.reduce((most, value) => Math.max(most, value), 0)));
      };
      const discriminatorOf = async (run: string): Promise<Weights> =>
        (await readLatestCheckpoint({ folder: run }))?.sets["discriminator.network"] ?? {};
      const teacher = await readDenoiser(at("teacher"));
      assert.ok(farthest(second.weights, first.weights) < 1e-6, "two steps of nearly no rate leave the start as it was");
      const before = await discriminatorOf(at("first"));
      assert.ok(Object.keys(before).length > 0, "the first run kept its discriminator");
      assert.ok(farthest(await discriminatorOf(at("second")), before) < 1e-6, "the discriminator goes on from the earlier one's end");
      await students("apart", { ...still, diffusion2gan: { ...still.diffusion2gan, scales: [1], discriminatorDepth: 2 } });
      assert.not.equal(Object.keys(await discriminatorOf(at("apart"))), Object.keys(before), "one of another kind begins anew");
      assert.ok(farthest(second.weights, teacher.weights) > 1e-4, "it is not the teacher's");

      const refusal = async (out: string, changes: Partial<Settings["train"]>) =>
        students(out, changes).then(
          () => "",
          (error: Error) => error.message,
        );
      assert.match(await refusal("second", { ...still, from: at("teacher") }), /Cannot resume .*second/);
      const other = { ...settings, network: { ...settings.network, width: 32 } };
      await pretrain({ what: "teacher", data: at("latents"), out: at("wide"), settings: other, context });
      assert.match(await refusal("third", { from: at("wide") }), /Cannot start from .*wide: its network.* leave train.from out/);
    }),
  { seconds: 240 },
);

test(
  "a teacher's training resumes exactly, and refuses a checkpoint of other data",
  () =>
    inFolder(async (folder) => {
      const images = await writeSquares(folder);
      const tiny = tinySettings();
      const watched = { ...tiny.pretrain.teacher, distanceEvery: 2, distanceCount: 64 };
      const settings = { ...tiny, pretrain: { ...tiny.pretrain, teacher: watched } };
      const at = (name: string): string => join(folder, name);
      const { context } = recordingContext();
      await ingest({ images: [images], out: at("latents"), settings, context });
      await pretrain({ what: "teacher", data: at("latents"), out: at("whole"), settings, context });
      const broken = recordingContext();
      const stopping = {
        ...broken.context,
        report: (event: Parameters<typeof broken.context.report>[0]) => {
          if (event.type === "progress" && event.stage === "teacher" && event.done === 5) broken.stop(new Error("stopped"));
        },
      };
      await pretrain({ what: "teacher", data: at("latents"), out: at("broken"), settings, context: stopping }).catch(() => {});
      assert.is((await readLatestCheckpoint({ folder: at("broken") }))?.step, 5, "the step under way is kept");
      await cp(at("broken"), at("foreign"), { recursive: true });
      await pretrain({ what: "teacher", data: at("latents"), out: at("broken"), settings, context });
      assert.equal(await contents(at("broken")), await contents(at("whole")));

      const other = { ...settings, seed: 5 };
      const message = await pretrain({ what: "teacher", data: at("latents"), out: at("foreign"), settings: other, context }).then(
        () => "",
        (error: Error) => error.message,
      );
      assert.match(message, /Cannot resume .*foreign/);
      await rm(at("foreign"), { recursive: true });
    }),
  { seconds: 120 },
);

test(
  "a run whose losses look through no perceptual network trains none, and takes on no discriminator instead",
  () =>
    inFolder(async (folder) => {
      const images = await writeSquares(folder);
      const { context, events } = recordingContext();
      const own = { perceptualWeight: 0, adversarialWeight: 0, discriminator: "features" };
      const plain = { steps: 3, distanceEvery: 0, diffusion2gan: own };
      await run({ images: [images], out: join(folder, "run"), settings: tinySettings({ train: plain }), context });
      const made = Object.keys(await contents(join(folder, "run")));
      assert.ok(made.includes("samples.png"));
      assert.equal(
        made.filter((name) => name.startsWith("perceptual")),
        [],
      );
      assert.equal(
        events.filter((event) => event.type === "note" && event.message.includes("discriminator")),
        [],
      );
      const steps = await readFile(join(folder, "run/student/metrics.jsonl"), "utf8");
      assert.match(steps, /"latent"/);
      assert.not.match(steps, /"adversarial"|"d_real"|"perceptual"/);
    }),
  { seconds: 120 },
);

test(
  "a run overrules no setting: without a network to look through it trains one, or refuses before any work",
  () =>
    inFolder(async (folder) => {
      const images = await writeSquares(folder);
      const { context } = recordingContext();
      const settings = tinySettings({
        train: { steps: 3, distanceEvery: 0, diffusion2gan: { discriminator: "features", adversarialStart: 0 } },
      });
      const blind: Settings = { ...settings, network: { ...settings.network, condition: "none" } };
      const refusal = await run({ images: [images], out: join(folder, "none"), settings: blind, context }).then(
        () => "",
        (error: Error) => error.message,
      );
      assert.match(
        refusal,
        /Cannot use train.method=diffusion2gan with train.perceptual \(not set\): .* or set train.diffusion2gan.discriminator=teacher/,
      );
      assert.equal(
        Object.keys(await contents(folder)).filter((name) => name.startsWith("none")),
        [],
      );

      await ingest({ images: [images], out: join(folder, "latents"), settings, context });
      await pretrain({ what: "teacher", data: join(folder, "latents"), out: join(folder, "teacher"), settings, context });
      await run({ images: [images], out: join(folder, "run"), teacher: join(folder, "teacher"), settings, context });
      const { sets } = (await readLatestCheckpoint({ folder: join(folder, "run/student") }))!;
      const heads = Object.keys(sets["discriminator.network"]!);
      assert.ok(heads.length > 0 && !heads.some((name) => name.startsWith("blocks.")), "heads read features, as the settings say");
      assert.ok((await contents(folder))["run/perceptual/model.json"], "the network they look through was trained");
    }),
  { seconds: 120 },
);

test("a run whose images have no class or caption where its teacher takes one ends before any is encoded", () =>
  inFolder(async (folder) => {
    const images = [join(await writeSquares(folder), "warm")];
    const { context } = recordingContext();
    for (const condition of ["class", "caption"] as const) {
      const given = tinySettings({ train: { distanceEvery: 0 } });
      const settings: Settings = { ...given, network: { ...given.network, condition } };
      const refusal = await run({ images, out: join(folder, "run"), settings, context }).then(
        () => "",
        (error: Error) => error.message,
      );
      assert.match(refusal, new RegExp(`${condition}-conditional teacher on .*warm: .* add --set network.condition=none`));
      assert.equal(
        Object.keys(await contents(folder)).filter((name) => name.includes("latents")),
        [],
      );
    }
  }));

test(
  "in the last part of the steps the discriminator counts for more, and only there",
  () =>
    inFolder(async (folder) => {
      const diffusion2gan = { adversarialStart: 0, r1Every: 1 }; // every step has a line
      const settings = tinySettings({ train: { steps: 4, distanceEvery: 0, diffusion2gan } });
      const { at, context } = await withTriples(folder, settings);
      const losses = async (out: string, diffusion2gan: object): Promise<number[]> => {
        const changed = withTrain(settings, { diffusion2gan });
        await train({ store: at("triples"), teacher: at("teacher"), out: at(out), settings: changed, context });
        const lines = (await readFile(at(`${out}/metrics.jsonl`), "utf8")).trim().split("\n");
        return lines.map((line) => JSON.parse(line).loss as number);
      };
      const [light, heavy] = [await losses("light", { adversarialWeight: 0.5 }), await losses("heavy", { adversarialWeight: 1.5 })];
      assert.equal(
        await losses("whole", { adversarialWeight: 0.5, sharpen: 3, sharpenPart: 1 }),
        heavy,
        "over all steps it is another weight",
      );
      const half = await losses("half", { adversarialWeight: 0.5, sharpen: 3, sharpenPart: 0.5 });
      assert.is(half.length, 4);
      assert.equal(half.slice(0, 2), light.slice(0, 2));
      assert.not.equal(half[2], light[2]);
    }),
  { seconds: 120 },
);

test.run();
