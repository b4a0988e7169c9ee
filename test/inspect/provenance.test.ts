import { cpSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { inspect } from "../../pipelines/inspect.ts";
import { simulate } from "../../pipelines/simulate.ts";
import type { Failure } from "../../schemas/failure.ts";
import { version } from "../../schemas/package.ts";
import { readDenoiser, writeModel } from "../../stages/runs/model.ts";
import type { TripleRow } from "../../store/format/columns.ts";
import { openStore, readShard, writeShard } from "../../store/shards/store.ts";
import { contextOf, emptyLatents, fillLatents, freshFolder, settingsOf, writeRun } from "../simulate/fixture.ts";
import { assert, suite } from "../harness.ts";
import { listening } from "./fixture.ts";

const test = suite("provenance");

/** A run as `run` lays it out: latents, teacher and triples beside each other. */
async function wholeRun(changes: Parameters<typeof settingsOf>[0] = {}) {
  const folder = freshFolder();
  const latents = await emptyLatents();
  await fillLatents(latents);
  cpSync(latents.folder, join(folder, "latents"), { recursive: true });
  cpSync(await writeRun(), join(folder, "teacher"), { recursive: true });
  const settings = settingsOf(changes);
  const path = join(folder, "triples");
  await simulate({
    teacher: join(folder, "teacher"),
    conditions: join(folder, "latents"),
    out: path,
    settings,
    context: contextOf(),
  });
  return { path, settings };
}

test("a row leads back to its image, condition, teacher, solver, guidance, seed and versions", async () => {
  const { path, settings } = await wholeRun({ count: 6, rowsPerShard: 6 });
  const { results, context } = listening();
  await inspect({ path, why: 4, settings, context });
  const { description } = await readDenoiser(join(dirname(path), "teacher"));
  const row = results["row 4"]!;
  assert.match(String(row.image), /^5\.png \(5 of .*latents\)$/); // image 3 was rejected
  assert.is(row.class, "dog (1)"); // 5 * 5 mod 3
  assert.is(row.teacher, description.hash);
  assert.match(String(row["teacher in"]), /\/teacher$/);
  assert.equal([row.seed, row.solver, row.shard], ["5", "heun, 3 steps, guidance 1.5", "0, row 4 of it"]);
  assert.is(row.noise, `derived; seed 5, stream "noise", offset ${4 * 192}`);
  assert.match(String(row.engine), new RegExp(`device cpu, version ${version()}, batch 4`));
  assert.match(String(row["images from"]), /listing s$/);

  const latents = listening();
  await inspect({ path: join(dirname(path), "latents"), why: 5, settings, context: latents.context });
  assert.equal([latents.results["row 5"]!.image, latents.results["row 5"]!.encoder], ["5.png", "pixel pixel"]);
  await assert.rejects(inspect({ path: join(dirname(path), "latents"), why: 3, settings, context }), /row 3 of .* was rejected: torn/);
  await assert.rejects(
    inspect({ path: join(dirname(path), "latents"), redo: 5, settings, context }),
    /Cannot redo row 5 .*Name a store of triples/,
  );

  rmSync(join(dirname(path), "latents"), { recursive: true });
  await inspect({ path, why: 4, settings, context });
  assert.match(String(results["row 4"]!.image), /^5 of [0-9a-f]{64}; name that latent store with --conditions/);
});

test(
  "a row computed again is the same to the last bit, wherever it stood in its batch; a changed one is not",
  async () => {
    for (const dtype of ["float32", "float16"] as const) {
      const { path, settings } = await wholeRun({ count: 14, rowsPerShard: 7, dtype });
      for (const id of dtype === "float32" ? [6, 9] : [9]) {
        const { results, others, context } = listening();
        await inspect({ path, redo: id, settings, context });
        assert.equal([results.redo!["largest difference"], results.redo!.verdict], [0, "the same to the last bit"], `row ${id} ${dtype}`);
        assert.is(results.redo!.place, `row ${(id % 7) % 4} of a batch of 4`);
        assert.equal(others, []);
      }
      if (dtype === "float16") continue;
      const store = await openStore({ folder: path });
      const rows = (await readShard(store, 0)) as TripleRow[];
      rows[2]!.latent[7]! += 0.125;
      store.remade.add(0);
      await writeShard(store, { shard: 0, rows });
      const { results, context } = listening();
      await inspect({ path, redo: 2, settings, context });
      assert.close(results.redo!["largest difference"] as number, 0.125, 1e-6);
      assert.is(results.redo!.verdict, "not the same bits");

      const other = await writeRun();
      const { description, weights } = await readDenoiser(other);
      await writeModel(other, { weights, description: { ...description, captions: ["another"] } });
      await assert.rejects(
        inspect({ path, redo: 2, teacher: other, settings, context }),
        /has the weights that made it, and not the description.*Name the run/,
      );
      rmSync(join(dirname(path), "teacher"), { recursive: true });
      const error = await assert.rejects(
        inspect({ path, redo: 2, settings, context }),
        /no teacher [0-9a-f]{12} stands beside it. Name its RUN with --teacher/,
      );
      assert.is((error as Failure).exitCode, 2);
    }
  },
  { seconds: 60 },
);

test.run();
