import { join } from "node:path";
import { ingest } from "../../pipelines/ingest.ts";
import { pretrain } from "../../pipelines/pretrain.ts";
import { readImageTokenizer } from "../../stages/runs/model.ts";
import { openTokenizer } from "../../stages/sample/tokenizer.ts";
import { openLatentStore, readLatents, stacked } from "../../store/rows/latents.ts";
import { normalise } from "../../store/records/statistics.ts";
import { assert, suite } from "../harness.ts";
import { contents, inFolder, recordingContext, tinySettings, writeSquares } from "./fixture.ts";

const test = suite("image tokenizers in training");

test(
  "a tokenizer stopped and started again has the bits of an unbroken one, and opens as its description says",
  () =>
    inFolder(async (folder) => {
      const images = await writeSquares(folder);
      const settings = tinySettings();
      const { context } = recordingContext();
      const at = (name: string): string => join(folder, name);
      await ingest({ images: [images], out: at("latents"), settings, context });
      await pretrain({ what: "perceptual", data: at("latents"), out: at("perceptual"), settings, context });
      settings.pretrain.tokenizer = { ...settings.pretrain.tokenizer, perceptual: at("perceptual") };
      const request = { what: "tokenizer", data: at("latents"), settings } as const;
      await pretrain({ ...request, out: at("whole"), context });

      const broken = recordingContext();
      const stopping: typeof broken.context = {
        ...broken.context,
        report: (event) => {
          if (event.type === "progress" && event.stage === "tokenizer" && event.done === 3) broken.stop(new Error("stopped"));
        },
      };
      await assert.rejects(pretrain({ ...request, out: at("broken"), context: stopping }), /^stopped$/);
      await pretrain({ ...request, out: at("broken"), context });
      const [whole, again] = [await contents(at("whole")), await contents(at("broken"))];
      assert.equal(Object.keys(again).sort(), Object.keys(whole).sort());
      for (const [name, bytes] of Object.entries(whole)) assert.ok(again[name] === bytes, `${name} differs`);
      assert.ok(whole["pictures/000004.png"] ?? Object.keys(whole).some((name) => name.startsWith("pictures/")));

      const { description } = await readImageTokenizer(at("whole"));
      assert.equal(description.config, { shape: [16, 16, 3], downsample: 4, width: 8, codes: 16, dimension: 8, sigmaData: 0.5 });
      const tokenizer = await openTokenizer({ path: at("whole"), engine: settings.engine, context, batch: 5 });
      const rows: Float32Array[] = [];
      for await (const { latent } of readLatents(await openLatentStore({ folder: at("latents") }))) rows.push(latent);
      const tokens = await tokenizer.tokensOf(normalise(stacked(rows), description.statistics, 0.5));
      assert.is(tokens.length, 24 * 16);
      assert.is((await tokenizer.codesOf(tokens)).length, 24 * 16 * 8);
      assert.is((await tokenizer.latentsOf(tokens)).length, 24 * 16 * 16 * 3);
      await tokenizer.close();

      await assert.rejects(pretrain({ ...request, what: "teacher", out: at("whole"), context }), /it holds an image tokenizer/);
      await assert.rejects(readImageTokenizer(at("perceptual")), /role/);
    }),
  { seconds: 240 },
);

test.run();
