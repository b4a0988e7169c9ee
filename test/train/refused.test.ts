/** A training that is refused leaves the folder it names byte for byte as it was, says what differs, and how to go on. */
import { cpSync, readdirSync, rmSync } from "node:fs";
import { pretrain } from "../../pipelines/pretrain.ts";
import { simulate } from "../../pipelines/simulate.ts";
import { train } from "../../pipelines/train.ts";
import { type AnyMethod, methodNamed } from "../../methods/registry.ts";
import type { Settings } from "../../schemas/settings.ts";
import { prepareStudent } from "../../stages/train/prepare/student.ts";
import { freshFolder, writeRun } from "../simulate/fixture.ts";
import { hashWeights } from "../../engine/weights.ts";
import { assert, suite } from "../harness.ts";
import { contentsOf } from "../store/fixture.ts";
import { inFolder, recordingContext, tinySettings, withTriples } from "./fixture.ts";

const test = suite("refused trainings");

const settings = tinySettings({
  train: { steps: 4, distanceEvery: 0, checkpointEvery: 2, pictureEvery: 4, diffusion2gan: { adversarialWeight: 0 } },
});
const withTrain = (changes: object): Settings => ({ ...settings, train: { ...settings.train, ...changes } });

test(
  "of other settings, data, method or kind",
  () =>
    inFolder(async (folder) => {
      const { at } = await withTriples(folder, settings);
      const student = async (options: { out?: string; store?: string; teacher?: string; settings?: Settings } = {}) => {
        const { context } = recordingContext();
        const { out = "student", store = "triples", teacher = "teacher" } = options;
        return train({ store: at(store), teacher: at(teacher), out: at(out), settings: options.settings ?? settings, context });
      };
      const first = await student();
      const other = { ...settings, network: { ...settings.network, width: 32 } };
      await pretrain({ what: "teacher", data: at("latents"), out: at("wide"), settings: other, context: recordingContext().context });
      await simulate({ teacher: at("wide"), out: at("wide-triples"), settings, context: recordingContext().context });
      await pretrain({ what: "autoencoder", data: at("latents"), out: at("autoencoder"), settings, context: recordingContext().context });

      /** The sentence of a refusal; nothing below the folder has changed. */
      const refusal = async (attempt: () => Promise<unknown>): Promise<string> => {
        const before = contentsOf(folder);
        const error = await assert.rejects(attempt);
        assert.equal(contentsOf(folder), before, error.message);
        return error.message;
      };

      const longer = await refusal(() => student({ settings: withTrain({ steps: 8 }) }));
      assert.match(longer, /student: its checkpoint was made with other settings or data \(train\.steps: 4 instead of 8\)\./);
      assert.match(longer, /--set train\.from=\S*student with another --out/);
      assert.not.match(longer, /remove|delete/i);
      const own = { ...(settings.train.diffusion2gan as object), latentWeight: 0.25 };
      assert.match(
        await refusal(() => student({ settings: { ...withTrain({ learningRate: 0.5, diffusion2gan: own }), seed: 9 } })),
        /train\.learningRate: \S+ instead of 0\.5; .*train\.diffusion2gan\.latentWeight: \S+ instead of 0\.25; .*seed: 0 instead of 9\)/,
      );
      const foreign = await refusal(() => student({ store: "wide-triples", teacher: "wide" }));
      assert.match(foreign, /the store is another; the teacher is another; .*network\.width: \d+ instead of 32/);
      assert.not.match(foreign, /train\.from/, "a start of another network is no way on");
      const phased = await refusal(() => student({ settings: withTrain({ method: "instaflow" }) }));
      assert.match(phased, /train\.method: "diffusion2gan" instead of "instaflow"/);
      for (const [out, words] of [
        ["teacher", "a teacher"],
        ["autoencoder", "an autoencoder"],
        ["triples", "a triple store"],
        ["latents", "a latent store"],
        ["images", "files that onestep did not make"],
      ] as const)
        assert.match(await refusal(() => student({ out })), new RegExp(`^Cannot train into .*${out}: it holds ${words}`));
      const teaching = (out: string, given: Settings) =>
        pretrain({ what: "teacher", data: at("latents"), out: at(out), settings: given, context: recordingContext().context });
      assert.match(await refusal(() => teaching("student", settings)), /^Cannot pretrain into .*: it holds a student/);
      assert.match(
        await refusal(() => teaching("teacher", { ...settings, seed: 4 })),
        /seed: 0 instead of 4.*--set pretrain\.teacher\.from=/,
      );
      const encoding = (out: string, given: Settings) =>
        pretrain({ what: "autoencoder", data: at("latents"), out: at(out), settings: given, context: recordingContext().context });
      assert.match(await refusal(() => encoding("wide", settings)), /it holds a teacher/);
      assert.match(await refusal(() => encoding("autoencoder", { ...settings, seed: 4 })), /seed: 0 instead of 4.*name another --out/);

      // Of an earlier version, whose folder does not say what it is a function of.
      rmSync(at("student/run.json"));
      assert.match(await refusal(() => student({ settings: withTrain({ steps: 8 }) })), /\(train\.steps: 4 instead of 8\)/);
      assert.match(await refusal(() => student({ store: "wide-triples", teacher: "wide" })), /made with other settings or data\./);
      const again = await student();
      assert.is(hashWeights(again.weights), hashWeights(first.weights), "the same command opens what is there");

      // A result without a checkpoint cannot be gone on from, and is not made anew over it.
      cpSync(at("student"), at("light"), { recursive: true });
      cpSync(at("autoencoder"), at("light-autoencoder"), { recursive: true });
      for (const run of ["light", "light-autoencoder"])
        for (const name of readdirSync(at(run))) if (name.startsWith("checkpoint")) rmSync(at(`${run}/${name}`));
      assert.match(await refusal(() => student({ out: "light" })), /it holds a finished network and no checkpoint to go on from/);
      assert.match(await refusal(() => encoding("light-autoencoder", settings)), /it holds a codec and no checkpoint to go on from/);
    }),
  { seconds: 280 },
);

test(
  "of two at once in one folder one is refused by name, and the other's result is its own",
  () =>
    inFolder(async (folder) => {
      const { at } = await withTriples(folder, settings);
      const start = (out: string, seed: number) =>
        train({
          store: at("triples"),
          teacher: at("teacher"),
          out: at(out),
          settings: { ...settings, seed },
          context: recordingContext().context,
        });
      const ended = await Promise.allSettled([start("both", 1), start("both", 2)]);
      const refused = ended.flatMap((result) => (result.status === "rejected" ? [String(result.reason.message)] : []));
      assert.is(refused.length, 1);
      assert.match(refused[0]!, /^Cannot train in .*both: train is at work there \(process \d+ on .*, since .*\)/);
      const winner = ended.findIndex(({ status }) => status === "fulfilled") + 1;
      await start("alone", winner);
      const files = (run: string) => Object.entries(contentsOf(at(run))).filter(([name]) => !/run\.html|tensorboard/.test(name));
      assert.equal(files("both"), files("alone"));
    }),
  { seconds: 120 },
);

test("by a method whose student could not be sampled as it says, before anything is trained", async () => {
  const { context } = recordingContext();
  const method = {
    ...methodNamed("diffusion2gan"),
    needs: () => ({ rows: "none", frozen: [] }),
    sampler: () => ({ times: [1, 80], between: "renoise", guidance: 1 }),
  } as AnyMethod;
  const teacher = await writeRun();
  await assert.rejects(
    prepareStudent({ method, teacher, out: freshFolder(), settings, context }),
    /^Cannot train by diffusion2gan with these settings: .*sampler\.times: noise levels must fall, and 80 follows 1\)\. Change/,
  );
});

test.run();
