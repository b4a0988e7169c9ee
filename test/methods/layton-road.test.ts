/** From images to pictures by Layton: tokens, decoder, prior, and what is measured of each. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { evaluate } from "../../pipelines/evaluate.ts";
import { pretrain } from "../../pipelines/pretrain.ts";
import { reconstruct } from "../../pipelines/reconstruct.ts";
import { run } from "../../pipelines/run.ts";
import { sample } from "../../pipelines/sample.ts";
import { tokenize } from "../../pipelines/tokenize.ts";
import { sharp } from "../../schemas/sharp.ts";
import { assert, suite } from "../harness.ts";
import { inFolder, recordingContext, tinySettings, writeSquares } from "../train/fixture.ts";

const test = suite("Layton's road");

test(
  "a run trains the tokenizer it needs; images are drawn again from their tokens, and new ones from a prior's",
  () =>
    inFolder(async (folder) => {
      const at = (name: string): string => join(folder, name);
      const settings = tinySettings({ train: { method: "layton", stepsPerShard: 1, distanceEvery: 0 } });
      settings.evaluate = { ...settings.evaluate, count: 64, seeds: 1, features: "builtin" };
      const { context, events } = recordingContext();
      await run({ images: [await writeSquares(folder)], out: at("run"), settings, context });
      const [model, latents, tokenizer] = [at("run/student"), at("run/latents"), at("run/tokenizer")];
      // Lines of 16 images: themselves, and below them the tokenizer's, and the student's in 1 and 2 calls.
      const grid = await sharp(at("run/samples.png")).metadata();
      assert.ok(grid.height! > 4 * 2 * 16 && grid.width! > 16 * 2 * 16, `${grid.width}x${grid.height}`);
      assert.ok(events.some((event) => event.type === "note" && /--prior/.test(event.message)));

      const ways = await reconstruct({ model, reference: latents, steps: "1,2", out: at("again.json"), settings, context });
      assert.equal(
        ways.map(({ subject, evaluations }) => [subject, evaluations]),
        [
          ["the tokenizer's own decoder", 0],
          ["student, 1 NFE", 1],
          ["student, 2 NFE", 2],
        ],
      );
      for (const { seeds } of ways) {
        const [{ count, lpips, psnr, frechetDistance }] = seeds as [(typeof seeds)[number]];
        assert.equal([count, frechetDistance], [24, undefined]); // too few for 64 features
        assert.ok(lpips > 0 && psnr > 0 && Number.isFinite(psnr), `${lpips} ${psnr}`);
      }
      assert.equal(JSON.parse(await readFile(at("again.json"), "utf8")).subjects.length, 3);
      await assert.rejects(reconstruct({ model, reference: latents, steps: "7", settings, context }), /1, 2, 3 or 4 network calls/);
      const teacher = at("run/teacher");
      await assert.rejects(reconstruct({ model: teacher, reference: latents, settings, context }), /reads no tokens.*trained by layton/);

      await tokenize({ data: latents, tokenizer, out: at("tokens"), settings, context });
      await pretrain({ what: "prior", data: at("tokens"), out: at("prior"), settings, context });
      const drawing = { model, count: 6, settings, context };
      await sample({ ...drawing, out: at("a.png"), prior: at("prior") });
      const { values } = events.at(-1) as { values: Record<string, unknown> };
      assert.equal([values.evaluations, values["calls of the prior"]], [2, 16]);
      await sample({ ...drawing, out: at("b.png"), prior: at("prior") });
      assert.ok((await readFile(at("a.png"))).equals(await readFile(at("b.png"))), "a function of the seed");
      await assert.rejects(sample({ ...drawing, out: at("d.png") }), /their tokens alone.*--prior RUN.*pipeline reconstruct/);
      await assert.rejects(sample({ ...drawing, out: at("d.png"), model: teacher, prior: at("prior") }), /it reads none/);

      await assert.rejects(evaluate({ model, reference: latents, settings, context }), /--prior RUN/);
    }),
  { seconds: 400 },
);

test.run();
