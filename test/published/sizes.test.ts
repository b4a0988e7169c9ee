/** Published teachers at other sizes than they were trained on: what follows from a size, and which there are. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { exportPath } from "../../pipelines/export.ts";
import { sample } from "../../pipelines/sample.ts";
import { simulate } from "../../pipelines/simulate.ts";
import { train } from "../../pipelines/train.ts";
import type { ImageSize } from "../../schemas/images.ts";
import { requestedSize, withLatents } from "../../stages/published/size.ts";
import { planDenoiser, readCodec, readDenoiser } from "../../stages/runs/model.ts";
import { openTripleStore } from "../../store/rows/triples.ts";
import { assert, suite } from "../harness.ts";
import { recordingContext } from "../train/fixture.ts";
import { pipelines } from "./golden.ts";
import { prompted } from "./quick.ts";
import { at, exported, studentOf } from "./students.ts";

const test = suite("sizes of published teachers");

test("a size is width by height, or a square's side", () => {
  assert.equal(requestedSize("768x512"), [512, 768]);
  assert.is(requestedSize("512"), 512);
  assert.is(requestedSize("64x64"), 64);
  assert.is(requestedSize(undefined), undefined);
  for (const text of ["", "0x8", "768x", "x512", "768 x 512", "-8", "7.5", "768x512x3"])
    assert.throws(() => requestedSize(text), /Cannot read the size ".*" \(--size\): expected width and height in pixels, as in 768x512/);
});

if (!existsSync(pipelines)) test.skip("of tiny pipelines", `there is no ${pipelines}`);
else {
  for (const [pipeline, shape] of [
    ["sd15", [4, 6, 4]],
    ["sdxl", [8, 12, 4]],
    ["pixart", [8, 12, 4]],
    ["sd3", [8, 12, 16]],
    ["flux", [8, 12, 4]],
  ] as const) {
    test(`${pipeline}: latents, what the network is told, and the codec are of the size that is asked for`, async () => {
      const size = [32, 48] as const;
      const { teacher, codec } = await planDenoiser(at(pipeline), { size });
      const { spec } = teacher.description;
      assert.equal(spec.shape, shape);
      assert.equal(spec.network.pixels, size);
      assert.equal([codec.description.imageSize, codec.description.shape], [size, shape]);
      const trained = (await planDenoiser(at(pipeline))).teacher.description.spec;
      assert.equal(spec, withLatents(trained, [shape[0], shape[1]])); // as the golden runs are walked (trajectories.test.ts)
    });
  }

  test("a size that the family, its codec or its patches do not take is refused in a sentence", async () => {
    for (const [pipeline, size, sentence] of [
      ["sd15", [100, 64], /sd15 at 64x100 px \(--size\): both sides must be multiples of 8 pixels; 64x104 is the nearest/],
      ["sdxl", 3, /multiples of 4 pixels; 4x4 is the nearest/],
      ["sd3", [36, 32], /multiples of 8 pixels; 32x40 is the nearest/],
      ["sd3", [104, 32], /it has positions for 96 pixels a side and no more/],
      ["flux", 36, /multiples of 8 pixels/],
      ["ddpm", [32, 33], /ddpm at 33x32 px .*multiples of 2 pixels; 34x32 is the nearest/],
      ["dit", 64, /its positions are those of the one size that it was trained on; leave --size out, which is 32 px/],
      ["edm", 64, /its layers are named and laid out for the one resolution of its config; leave --size out, which is 32 px/],
    ] as const satisfies readonly (readonly [string, ImageSize, RegExp])[])
      await assert.rejects(planDenoiser(at(pipeline), { size }), sentence);
    assert.is((await planDenoiser(at("dit"), { size: 32 })).codec.description.imageSize, 32);
  });

  test(
    "sd3: from a wide simulation to a wide student, which is exported with its size",
    async () => {
      const { folder, settings } = await prompted("diffusion2gan");
      const { context } = recordingContext();
      const [store, out, size] = [join(folder, "triples"), join(folder, "student"), [32, 48] as const];
      await simulate({ teacher: at("sd3"), size, out: store, settings, context });
      assert.equal((await openTripleStore({ folder: store })).manifest.shape, [8, 12, 16]);
      await assert.rejects(
        train({ store, teacher: at("sd3"), out, settings, context }),
        /has the weights that made it, .*Ask for the size that simulate was asked for, with --size/,
      );
      await train({ store, teacher: at("sd3"), size, out, settings, context });
      const { description } = await readDenoiser(out);
      assert.equal(
        [description.spec.shape, description.spec.network.pixels],
        [
          [8, 12, 16],
          [32, 48],
        ],
      );
      assert.equal((await readCodec(out)).description.imageSize, [32, 48]);
      await sample({ model: out, count: 2, out: join(folder, "samples.png"), settings, context });
      await assert.rejects(readDenoiser(out, { size }), /student at 48x32 px \(--size\): it is a run, .* leave --size out/);
      const exported = join(folder, "exported");
      await exportPath({ path: out, format: "diffusers", out: exported, context });
      assert.match(await readFile(join(exported, "README.md"), "utf8"), /pipe\("a prompt", .*height=32, width=48/);
    },
    { seconds: 600 },
  );

  test("an exported folder has the student's size where its pipeline looks for it, and is read at that size", async () => {
    for (const [pipeline, size, shape, written] of [
      ["ddpm", [16, 32], [16, 32, 3], [16, 32]],
      ["sd15", [32, 64], [4, 8, 4], [4, 8]],
      ["sdxl", 32, [8, 8, 4], 8],
      ["sd3", 32, [8, 8, 16], 8],
    ] as const) {
      const { run, student } = await studentOf(pipeline, undefined, size);
      const out = await exported(run, "diffusers");
      const part = pipeline === "sd3" ? "transformer" : "unet";
      assert.equal(JSON.parse(await readFile(join(out, part, "config.json"), "utf8")).sample_size, written);
      const { description } = await readDenoiser(out);
      assert.equal([description.spec.shape, description.hash], [shape, student.description.hash]);
    }
  });
}

test.run();
