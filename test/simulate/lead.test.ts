/** Simulation no further than trainings read: it ends with them, says so, and makes the rest where it is asked without a lead. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "../../pipelines/run.ts";
import { simulate } from "../../pipelines/simulate.ts";
import type { PipelineEvent } from "../../schemas/events.ts";
import { askToRegister, openReader } from "../../store/shards/readers.ts";
import { removeRead } from "../../store/shards/removed.ts";
import { openStore, presentShards } from "../../store/shards/store.ts";
import type { Work } from "../../store/making/work.ts";
import { assert, suite } from "../harness.ts";
import { inFolder, recordingContext, tinySettings, withTriples } from "../train/fixture.ts";
import { contentsOf, contextOf, freshFolder, settingsOf, writeRun } from "./fixture.ts";

const test = suite("simulation near its readers");
const said = (events: PipelineEvent[]): string => events.flatMap((event) => (event.type === "note" ? event.message : [])).join("\n");

test(
  "a store whose trainings have ended is left as it is, by every part and by a repair, and becomes whole without a lead",
  async () => {
    const teacher = await writeRun();
    const make = async (out: string, work: Work, changes: Parameters<typeof settingsOf>[0] = {}) => {
      const events: PipelineEvent[] = [];
      const context = contextOf((event) => events.push(event));
      return { summary: await simulate({ teacher, out, work, settings: settingsOf(changes), context }), said: said(events) };
    };
    const [whole, out] = [freshFolder(), freshFolder()];
    const expected = (await make(whole, {})).summary;
    await make(out, { shards: "0-1" });
    const store = await openStore({ folder: out });
    await askToRegister(store, "unread");
    const reader = openReader(store, { name: "a1", out: "student", pinned: 1, from: 0 });
    await reader.asks(2);
    await reader.ends();
    assert.is(await removeRead(store), 1);

    const path = join(out, "shards/000000.parquet");
    const sound = readFileSync(path);
    for (const work of [{}, { part: "2/2", others: true }, { part: "1/2" }, { repair: true }]) {
      if (work.repair) writeFileSync(path, "torn");
      const { summary, said } = await make(out, work, { lead: 1, keep: "unread" });
      assert.is(summary, undefined);
      assert.match(
        said,
        /^2 of 4 shards are not made, the first is 2: the training a1 \(student\) has ended \(simulate.lead\); no other can /m,
      );
      assert.match(said, /begin, since shards were removed; leave simulate.lead out to make all of it$/m);
      assert.equal(await presentShards(store), [0]);
      assert.ok(readFileSync(path).equals(sound));
    }
    assert.equal((await make(out, {}, { keep: "unread" })).summary, expected);
    const [made, all] = [contentsOf(out), contentsOf(whole)];
    for (const name of ["summary.json", "journal.jsonl", "shards/000003.parquet"]) assert.is(made[name], all[name], name);
  },
  { seconds: 120 },
);

test(
  "a run with a lead ends with its training, also when it is repeated, and leaves the triples that nobody read",
  () =>
    inFolder(async (folder) => {
      const simulation = { count: 24, rowsPerShard: 4, batch: 4 };
      const train = { steps: 4, batch: 2, window: 1, firstShards: 1, stepsPerShard: 2, distanceEvery: 0 };
      const settings = tinySettings({ train: { ...train, diffusion2gan: { perceptualWeight: 0 } } as never, simulate: simulation });
      const { at } = await withTriples(folder, settings);
      const ran = async (simulate: object): Promise<string> => {
        const { context, events } = recordingContext();
        const changed = { ...settings, simulate: { ...settings.simulate, ...simulate } };
        await run({ images: [at("images")], out: at("run"), teacher: at("teacher"), settings: changed, context });
        return said(events);
      };
      for (const _ of ["once", "again"]) {
        assert.match(
          await ran({ lead: 1 }),
          /shards are not made, the first is \d: the training \w+ \(.*student\) has ended \(simulate.lead\)/,
        );
        assert.not(existsSync(at("run/triples/summary.json")));
        assert.ok((await presentShards(await openStore({ folder: at("run/triples") }))).length < 5);
      }
      await ran({});
      assert.ok(existsSync(at("run/triples/summary.json")));
    }),
  { seconds: 240 },
);

test.run();
