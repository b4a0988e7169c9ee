import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { sharp } from "../../schemas/sharp.ts";
import { sample } from "../../pipelines/sample.ts";
import { normals } from "../../schemas/numbers/philox.ts";
import type { PipelineEvent } from "../../schemas/events.ts";
import { type Generated, openGenerator } from "../../stages/sample/generator.ts";
import { assert, suite } from "../harness.ts";
import { CAPTIONS, contextOf, freshFolder, LENGTH, settingsOf, STATISTICS, writeRun } from "./fixture.ts";

const test = suite("sample");

async function all(pictures: AsyncIterable<Generated>): Promise<Generated[]> {
  const list: Generated[] = [];
  for await (const picture of pictures) list.push(picture);
  return list;
}

test("a student of zeros shows its noise, shrunk by c_skip and denormalised, at one evaluation", async () => {
  const path = await writeRun({ role: "student", weights: "zero", diffusion: { sigmaMax: 2 } });
  const generator = await openGenerator({ path, settings: settingsOf(), context: contextOf() });
  try {
    assert.equal([generator.kind, generator.nfe], ["student", 1]);
    const [picture] = (await all(generator.sample({ seed: 3, start: 2, count: 1 }))) as [Generated];
    const noise = normals({ seed: 3, stream: "samples", offset: 2 * LENGTH, length: LENGTH });
    noise.forEach((value, i) => {
      const latent = 2 * value * (0.5 ** 2 / (0.5 ** 2 + 2 ** 2));
      const raw = (latent / 0.5) * (STATISTICS.std[i % 3] as number) + (STATISTICS.mean[i % 3] as number);
      const level = Math.min(255, Math.max(0, (raw + 1) * 127.5));
      assert.close(picture.pixels[i] as number, level, 0.51);
    });
  } finally {
    await generator.close();
  }
});

test("a sample depends on the seed, its number and its condition alone; classes come in turn where none is asked", async () => {
  const generator = await openGenerator({ path: await writeRun(), settings: settingsOf({ steps: 2 }), context: contextOf() });
  try {
    assert.equal([generator.kind, generator.nfe], ["teacher", 3]); // Heun's last step is Euler's
    const whole = await all(generator.sample({ seed: 1, count: 6, labels: [2, -1, -1, -1, -1, -1] }));
    assert.equal(
      whole.map(({ label }) => label),
      [2, 1, 2, 0, 1, 2],
    );
    const part = await all(generator.sample({ seed: 1, start: 4, count: 2 }));
    assert.equal(part, whole.slice(4));
    const latents = await generator.latents({ seed: 1, start: 4, count: 2 });
    assert.equal(
      (await generator.decode(latents)).map(({ pixels }) => pixels),
      part.map(({ pixels }) => pixels),
    );
    const [other] = (await all(generator.sample({ seed: 1, start: 4, count: 1, labels: [0] }))) as [Generated];
    assert.not.equal(other.pixels, part[0]?.pixels);
    await assert.rejects(generator.latents({ seed: 1, count: 1, labels: [3] }), /Cannot generate class 3 with .*classes 0 to 2/);
  } finally {
    await generator.close();
  }
});

test("captions asked for are used, and drawn where there are none", async () => {
  const path = await writeRun({ condition: "caption", role: "student" });
  const generator = await openGenerator({ path, settings: settingsOf({}, "caption"), context: contextOf() });
  try {
    const pictures = await all(generator.sample({ seed: 1, count: 3, captions: ["a red cat", null, "two owls"] }));
    assert.equal([pictures[0]?.caption, pictures[2]?.caption], ["a red cat", "two owls"]);
    assert.ok(CAPTIONS.includes(pictures[1]?.caption ?? ""));
  } finally {
    await generator.close();
  }
});

test("the grid has a row a class where the count allows, settings beside it, and its cost in the result", async () => {
  const out = join(freshFolder(), "grid.png");
  const results: PipelineEvent[] = [];
  const context = contextOf((event) => event.type === "result" && void results.push(event));
  await sample({ model: await writeRun({ role: "student" }), count: 6, out, settings: settingsOf(), context });
  const { width = 0, height = 0 } = await sharp(readFileSync(out)).metadata();
  assert.ok(height >= 3 * 16 && height < 4 * 16 && width >= 2 * 16, `${width} x ${height}`);
  assert.ok(existsSync(out.replace("grid.png", "grid.settings.yaml")));
  const [result] = results as [Extract<PipelineEvent, { type: "result" }>];
  assert.equal([result.values.evaluations, result.values.images], [1, 6]);
  assert.ok((result.values["seconds per image"] as number) > 0);
});

test("a teacher's steps are its solver's, and its calls are told", async () => {
  const results: PipelineEvent[] = [];
  const context = contextOf((event) => event.type === "result" && void results.push(event));
  await sample({ model: await writeRun(), count: 1, out: join(freshFolder(), "grid.png"), steps: 4, settings: settingsOf(), context });
  const [result] = results as [Extract<PipelineEvent, { type: "result" }>];
  assert.is(result.values.evaluations, 7);
});

test.run();
