/** From a student to the page that draws with it: served as it is, its pictures are those of `sample`. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { exportPath } from "../../pipelines/export.ts";
import { presetLayer, resolveSettings } from "../../recipes/resolve-settings.ts";
import { packageRoot } from "../../schemas/package.ts";
import { readCodec, readDenoiser, writeCodec, writeModel } from "../../stages/runs/model.ts";
import { openGenerator } from "../../stages/sample/generator.ts";
import { assert, suite } from "../harness.ts";
import { openBrowser, openPage, until } from "../inspect/browser.ts";
import { freshFolder, listening, served } from "../inspect/fixture.ts";

const test = suite("a student as a page");
const settings = resolveSettings([presetLayer("smoke")]);
const student = freshFolder();

/** The demo's teacher, asked once or twice. */
test.before(async () => {
  const teacher = fileURLToPath(new URL("data/demo/teacher", packageRoot()));
  const { description, weights } = await readDenoiser(teacher);
  const sampler = { times: [80], between: "renoise" as const, guidance: 1.5, choices: { 2: [80, 2.5] } };
  const captions = ["two red balloons by day in the snow", "a blue cat at night"];
  await writeModel(student, { description: { ...description, role: "student", sampler, captions }, weights });
  await writeCodec(student, await readCodec(teacher));
});

const chromium = await openBrowser();
if (!chromium) test.skip("draws what sample draws", "no Chromium was found; name one with ONESTEP_CHROMIUM");
else {
  test.after(() => chromium.close());

  test(
    "served as it is, it draws what sample draws in one call and in two",
    async () => {
      const { url, stop } = await served(student);
      try {
        for (const steps of [1, 2]) {
          const generator = await openGenerator({ path: student, settings, context: listening().context, steps, batch: 1 });
          const caption = "a green boat, at dawn on the sea";
          const drawn: number[][] = [];
          for await (const { pixels } of generator.sample({ seed: 7, start: 2, count: 1, captions: [caption] })) drawn.push([...pixels]);
          await generator.close();
          const link = `caption=${caption.replaceAll(" ", "+").replaceAll(",", "%2C")}&seed=7&index=2${steps === 2 ? "&steps=2" : ""}`;
          const { page, errors } = await openPage(chromium, `${url}?device=wasm#${link}`, { ready: "h1" });
          await until(page, `document.getElementById("picture").dataset.shows === ${JSON.stringify(link)}`);
          const read = `[...document.getElementById("picture").getContext("2d").getImageData(0, 0, 64, 64).data]`;
          const seen = ((await page.evaluate(read)) as number[]).filter((_, i) => i % 4 !== 3);
          const apart = seen.map((pixel, i) => Math.abs(pixel - drawn[0]![i]!));
          // A difference of 1e-3 of the range -1..1 would round to another of 256 levels one time in eight.
          assert.ok(Math.max(...apart) <= 1 && apart.filter((each) => each > 0).length <= seen.length / 100, `${steps} calls`);
          assert.equal(errors, []);
          await page.close();
        }
      } finally {
        await stop();
      }
    },
    { seconds: 240 },
  );
}

test(
  "the command writes a site, and goes on where it was left",
  async () => {
    const out = freshFolder();
    const { results, context } = listening();
    const options = { path: student, format: "web", out, half: true, licence: "CC0", settings, context };
    await exportPath(options);
    assert.is(results.export!.open, `pipeline serve ${out}`);
    assert.match(await readFile(join(out, "index.html"), "utf8"), /Licence of the weights: CC0/);
    const description = await readFile(join(out, "model", "onestep.json"), "utf8");
    await exportPath(options);
    assert.is(await readFile(join(out, "model", "onestep.json"), "utf8"), description); // graphs are not made again
    await assert.rejects(exportPath({ ...options, half: false }), /another export stands there/);
    assert.not.ok(existsSync(join(out, "teacher")));
  },
  { seconds: 120 },
);

test.run();
