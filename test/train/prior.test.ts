import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { exportStore } from "../../pipelines/export.ts";
import { ingest } from "../../pipelines/ingest.ts";
import { inspect } from "../../pipelines/inspect.ts";
import { merge } from "../../pipelines/merge.ts";
import { pretrain } from "../../pipelines/pretrain.ts";
import { tokenize } from "../../pipelines/tokenize.ts";
import { verify } from "../../pipelines/verify.ts";
import { readPrior } from "../../stages/runs/model.ts";
import { openPrior } from "../../stages/sample/prior.ts";
import { openStoresTokenizer } from "../../stages/sample/tokenizer.ts";
import { readShard } from "../../store/shards/store.ts";
import { openTokenStore } from "../../store/rows/tokens.ts";
import { assert, suite } from "../harness.ts";
import { contents, inFolder, recordingContext, tinySettings, writeSquares } from "./fixture.ts";

const test = suite("tokens and priors");

/** Fails unless two folders hold the same files, byte for byte. */
async function alike(a: string, b: string): Promise<void> {
  const [left, right] = [await contents(a), await contents(b)];
  assert.equal(Object.keys(right).sort(), Object.keys(left).sort());
  for (const [name, bytes] of Object.entries(left)) assert.ok(right[name] === bytes, `${name} differs`);
}

test(
  "images become tokens, the same whatever interrupts it, and a prior learns from them and draws some",
  () =>
    inFolder(async (folder) => {
      const at = (name: string): string => join(folder, name);
      const settings = tinySettings();
      settings.encoder = { ...settings.encoder, rowsPerShard: 8 };
      const { context, events } = recordingContext();
      await ingest({ images: [await writeSquares(folder)], out: at("latents"), settings, context });
      await pretrain({ what: "tokenizer", data: at("latents"), out: at("tokenizer"), settings, context });
      const request = { data: at("latents"), tokenizer: at("tokenizer"), settings };
      const summary = await tokenize({ ...request, out: at("tokens"), context });
      assert.equal([summary?.rows, summary?.shards], [24, 3]);
      const result = events.filter((event) => event.type === "result").at(-1) as { values: Record<string, string | number> };
      assert.match(String(result.values["codes used"]), /^\d+ of 16, perplexity /);
      assert.ok((result.values["lost of the latents' variance"] as number) > 0);

      // Stopped after the first shard, then made in shares, then one shard damaged and repaired.
      const broken = recordingContext();
      const stopping: typeof broken.context = {
        ...broken.context,
        report: (event) => void (event.type === "progress" && event.stage === "tokenize" && broken.stop(new Error("stopped"))),
      };
      await assert.rejects(tokenize({ ...request, out: at("again"), context: stopping }), /^stopped$/);
      await tokenize({ ...request, out: at("again"), work: { part: "2/3" }, context });
      await tokenize({ ...request, out: at("again"), context });
      await alike(at("tokens"), at("again"));
      const path = at("again/shards/000001.parquet");
      const bytes = await readFile(path);
      bytes[bytes.length >> 2]! ^= 4;
      await writeFile(path, bytes);
      await assert.rejects(verify({ path: at("again"), context }), /shard/);
      await tokenize({ ...request, out: at("again"), work: { repair: true }, context });
      await verify({ path: at("again"), context });
      await alike(at("tokens"), at("again"));
      await tokenize({ ...request, out: at("a"), work: { shards: "0-1" }, context });
      await tokenize({ ...request, out: at("b"), work: { shards: "2" }, context });
      await merge({ stores: [at("a"), at("b")], out: at("merged"), context });
      await alike(at("tokens"), at("merged"));

      await inspect({ path: at("tokens"), rows: 2, grid: at("tokens.png"), settings, context });
      const facts = events.find((event) => event.type === "result" && event.stage === at("tokens")) as typeof result;
      assert.equal([facts.values.kind, facts.values.tokens], ["tokens", "4 x 4 int16"]);
      assert.match(String(facts.values["codes used"]), / of 16/);
      assert.ok((await readFile(at("tokens.png"))).length > 100);
      await inspect({ path: at("tokens"), why: 3, settings, context });
      for (const format of ["npy", "arrow", "safetensors", "webdataset", "parquet-list"]) {
        await exportStore({ path: at("tokens"), format, out: at(format), context });
      }
      const npy = await readFile(at("npy/tokens.npy"));
      assert.match(npy.toString("latin1", 0, 128), /'descr': '<i2'.*'shape': \(24, 4, 4\)/);
      const rows = await readShard(await openTokenStore({ folder: at("tokens") }), 0);
      const stored = new Int16Array(new Uint8Array(npy.subarray(npy.length - 24 * 32)).buffer);
      assert.equal([...stored.subarray(0, 16)], [...rows[0]!.tokens]);

      const prior = { what: "prior", data: at("tokens"), settings } as const;
      await pretrain({ ...prior, out: at("prior"), context });
      const halfway = recordingContext();
      const halting: typeof halfway.context = {
        ...halfway.context,
        report: (event) =>
          void (event.type === "progress" && event.stage === "prior" && event.done === 3 && halfway.stop(new Error("halt"))),
      };
      await assert.rejects(pretrain({ ...prior, out: at("halted"), context: halting }), /^halt$/);
      await pretrain({ ...prior, out: at("halted"), context });
      await alike(at("prior"), at("halted"));
      const { description } = await readPrior(at("prior"));
      assert.equal([description.spec.grid, description.spec.codes, description.spec.classes], [[4, 4], 16, ["cold", "warm"]]);

      const open = await openPrior({ path: at("prior"), engine: settings.engine, context, batch: 3 });
      const tokens = await open.sampleTokens({ seed: 4, count: 5 });
      assert.is(tokens.length, 5 * 16);
      assert.equal([...(await open.sampleTokens({ seed: 4, start: 3, count: 2, labels: [1, 0] }))], [...tokens.subarray(3 * 16)]);
      assert.not.equal([...(await open.sampleTokens({ seed: 5, count: 5 }))], [...tokens]);
      await open.close();
      const decoder = await openStoresTokenizer({ folder: at("prior"), engine: settings.engine, context });
      assert.is((await decoder.latentsOf(tokens)).length, 5 * 16 * 16 * 3);
      await decoder.close();

      await assert.rejects(pretrain({ ...prior, data: at("latents"), out: at("other"), context }), /store of latents.*tokenize wrote/);
      await assert.rejects(pretrain({ ...prior, what: "teacher", out: at("other"), context }), /store of tokens.*ingest wrote/);
      await rm(at("tokens/tokenizer.json"));
      await assert.rejects(verify({ path: at("tokens"), context }), /damaged/);
    }),
  { seconds: 400 },
);

test.run();
