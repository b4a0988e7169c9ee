/** A student of which a LoRA, or a part, is trained: what its checkpoint holds, and what it writes. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { mergeLora } from "../../pipelines/merge-lora.ts";
import { sample } from "../../pipelines/sample.ts";
import { train } from "../../pipelines/train.ts";
import { readLora } from "../../stages/runs/lora.ts";
import { readDenoiser } from "../../stages/runs/model.ts";
import { readLatestCheckpoint } from "../../stages/train/checkpoint.ts";
import { assert, suite } from "../harness.ts";
import { contents, inFolder, recordingContext, tinySettings, withTriples } from "../train/fixture.ts";

const test = suite("adapters in training");

const kernels = /^blocks\.\d+\.attention\.(qkv|out)\.kernel$/;

test(
  "the checkpoint of a LoRA run holds the LoRA, the student is whole and changed where the LoRA is; it resumes to the bit",
  () =>
    inFolder(async (folder) => {
      const adapter = { lora: { rank: 2, alpha: 4, targets: ["attention"] } };
      const own = { adapter, adversarialStart: 2 };
      const settings = tinySettings({ train: { steps: 6, checkpointEvery: 3, pictureEvery: 100, diffusion2gan: own } });
      const { at, context } = await withTriples(folder, settings);
      const request = { store: at("triples"), teacher: at("teacher"), settings };
      const student = await train({ ...request, out: at("student"), context });
      const teacher = await readDenoiser(at("teacher"));

      const { sets } = (await readLatestCheckpoint({ folder: at("student") }))!;
      for (const set of ["student.network", "student.average", "student.first", "student.second", "best"]) {
        const names = Object.keys(sets[set] ?? {});
        assert.ok(names.length > 0 && names.every((name) => /\.lora\.(down|up)$/.test(name)), `${set} holds ${names.slice(0, 3)}`);
      }
      assert.ok(
        Object.keys(sets["discriminator.network"]!).some((name) => name.startsWith("blocks.")),
        "other parts are trained whole",
      );
      assert.equal(Object.keys(student.weights).sort(), Object.keys(teacher.weights).sort());
      for (const [name, { data }] of Object.entries(student.weights)) {
        const isSame = data.every((value, i) => value === teacher.weights[name]!.data[i]);
        assert.is(isSame, !kernels.test(name), name);
      }

      const lora = await readLora(at("student"));
      assert.equal([lora.rank, lora.alpha, lora.base, lora.merged], [2, 4, teacher.description.hash, student.description.hash]);
      assert.equal(lora.trained, sets.best);
      const merged = await mergeLora({ base: at("teacher"), loras: [at("student")], out: at("merged"), settings, context });
      assert.is(merged.description.hash, student.description.hash, "with scale 1 it is the run itself");
      assert.equal(await readFile(at("merged/weights.safetensors")), await readFile(at("student/weights.safetensors")));
      assert.equal(merged.description, student.description);
      const half = { base: at("teacher"), loras: [at("student")], scales: "-0.5", out: at("half"), settings, context };
      const away = await mergeLora(half);
      await sample({ model: at("half"), count: 4, out: at("half.png"), settings, context });
      assert.is.not(away.description.hash, student.description.hash);

      const broken = recordingContext();
      const stopping = {
        ...broken.context,
        report: (event: Parameters<typeof broken.context.report>[0]) => {
          if (event.type === "progress" && event.stage === "train" && event.done === 4) broken.stop(new Error("stopped"));
        },
      };
      await train({ ...request, out: at("broken"), context: stopping }).catch(() => {});
      await train({ ...request, out: at("broken"), context });
      assert.equal(await contents(at("broken")), await contents(at("student")));
    }),
  { seconds: 240 },
);

test(
  "where only some parameters are trained the others stay the teacher's, and targets that match nothing are named",
  () =>
    inFolder(async (folder) => {
      const settings = tinySettings({
        train: { steps: 3, distanceEvery: 0, diffusion2gan: { adapter: { only: ["^final\\."] }, adversarialWeight: 0 } },
      });
      const { at, context } = await withTriples(folder, settings);
      const request = { store: at("triples"), teacher: at("teacher"), context };
      const student = await train({ ...request, out: at("student"), settings });
      const teacher = await readDenoiser(at("teacher"));
      const changed = Object.keys(student.weights).filter((name) =>
        student.weights[name]!.data.some((v, i) => v !== teacher.weights[name]!.data[i]),
      );
      assert.ok(changed.length > 0 && changed.every((name) => name.startsWith("final.")), changed.join());

      const wrong = tinySettings({ train: { steps: 3, diffusion2gan: { adapter: { only: ["atention"] } } } });
      const message = await train({ ...request, out: join(folder, "wrong"), settings: wrong }).then(
        () => "",
        (error: Error) => error.message,
      );
      assert.match(message, /adapter=.*"atention" trains nothing: it matches no parameter of this network; name a group \(attention, /);
      assert.not.ok(existsSync(at("wrong")), "nothing was begun");
    }),
  { seconds: 120 },
);

test.run();
