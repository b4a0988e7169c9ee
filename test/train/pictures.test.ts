/** Pictures of a training take what rows there are: one, fewer than a line, no whole number of lines, or none in the first shard. */
import { ONE_STEP } from "../../models/diffusion/sampler-plan.ts";
import type { PictureDecoder } from "../../stages/sample/picture-decoder.ts";
import { besideTeacher, roundTrips } from "../../stages/train/pictures.ts";
import { teacherRows } from "../../stages/train/reference-rows.ts";
import type { Trainer } from "../../stages/train/training.ts";
import { createTripleStore } from "../../store/rows/triples.ts";
import { assert, suite } from "../harness.ts";
import { fill, freshFolder, latentOf, tripleManifest } from "../store/fixture.ts";
import { recordingContext } from "./fixture.ts";

const test = suite("pictures");
const LENGTH = 4 * 3 * 2;
const { context } = recordingContext();
const conditions = { inputs: () => ({}) } as never;

type Grid = Parameters<PictureDecoder["writeGrid"]>[0];

function fakeDecoder(): { decoder: PictureDecoder; grids: Grid[] } {
  const grids: Grid[] = [];
  return { grids, decoder: { writeGrid: async (grid: Grid) => void grids.push(grid) } as unknown as PictureDecoder };
}

/** Draws what a training on these triples shows; a sample is its noise doubled, of the EMA trebled. */
async function drawn(entries: number, rowsPerShard: number, fails?: (id: number) => boolean): Promise<Grid[]> {
  const triples = await createTripleStore({ folder: freshFolder(), manifest: tripleManifest({ entries, rowsPerShard }) });
  await fill(triples, fails);
  const { decoder, grids } = fakeDecoder();
  const sample: Trainer["sample"] = async ({ noise }, of) => noise.map((value) => value * (of === "network" ? 2 : 3));
  await besideTeacher({ triples, conditions, plan: ONE_STEP, seed: 0, decoder, folder: "run", context })(0, { sample } as Trainer);
  return grids;
}

test("every row of the first shard is drawn once, up to 32, and empty places are grey", async () => {
  for (const rows of [1, 3, 15, 16, 17, 20, 31, 32, 40]) {
    const [grid, ...others] = await drawn(rows, rows);
    assert.equal(others, []);
    const shown = Math.min(rows, 32);
    const columns = Math.min(shown, 16);
    assert.is(grid!.columns, columns);
    const lines = 3 * Math.ceil(shown / columns);
    assert.is(grid!.rowLabels!.length, lines);
    assert.is(grid!.latents.length, lines * columns * LENGTH);
    const cell = (line: number, column: number): Float32Array =>
      grid!.latents.subarray((line * columns + column) * LENGTH, (line * columns + column + 1) * LENGTH);
    for (let i = 0; i < Math.ceil(shown / columns) * columns; i++) {
      const [line, column] = [3 * Math.floor(i / columns), i % columns];
      assert.equal([...cell(line, column)], i < shown ? [...latentOf(i)] : Array(LENGTH).fill(0), `${rows} rows, ${i}`);
      const [network, average] = [cell(line + 1, column), cell(line + 2, column)];
      assert.is(
        network.some((value) => value !== 0),
        i < shown,
      );
      assert.close(
        average,
        network.map((value) => value * 1.5),
        1e-5,
      );
    }
  }
});

test("a first shard without rows is passed over; of a store without any nothing is drawn", async () => {
  const [grid] = await drawn(12, 4, (id) => id < 4);
  assert.equal([...grid!.latents.subarray(0, LENGTH)], [...latentOf(4)]);
  assert.equal(await drawn(12, 4, () => true), []);
});

test("as many round trips are drawn as the batch has images", async () => {
  for (const rows of [1, 2, 7, 8, 9, 10, 16, 20]) {
    const { decoder, grids } = fakeDecoder();
    const images = Float32Array.from({ length: rows * 5 }, (_, i) => i + 1);
    const look: Trainer["look"] = async (_, { images }) => ({ decoded: (images as Float32Array).map((value) => -value) });
    await roundTrips({ images: () => images, length: 5, decoder, folder: "run" })(0, { look } as Trainer);
    const [{ latents, columns }] = grids as [Grid];
    assert.is(columns, Math.min(rows, 8));
    const seen = [...latents].filter((value) => value !== 0);
    assert.equal(
      seen.filter((value) => value > 0),
      [...images],
      `${rows} rows`,
    );
    assert.equal(
      seen.filter((value) => value < 0),
      [...images].map((value) => -value),
    );
  }
});

test(
  "the teacher's rows of large shards are gathered one by one",
  async () => {
    const triples = await createTripleStore({
      folder: freshFolder(),
      manifest: tripleManifest({ shape: [1, 1, 1], entries: 150_000, rowsPerShard: 150_000 }),
    });
    await fill(triples);
    assert.is((await teacherRows(triples, 140_000, context)).length, 140_000);
  },
  { seconds: 120 },
);

test.run();
