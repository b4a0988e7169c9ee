import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { inspect } from "../../pipelines/inspect.ts";
import { Failure } from "../../schemas/failure.ts";
import { presetLayer, resolveSettings } from "../../recipes/resolve-settings.ts";
import { answerSql } from "../../stages/inspect/sql.ts";
import { shardPath, type Store } from "../../store/shards/store.ts";
import { ownTemporaries } from "../fixtures/folders.ts";
import { assert, suite } from "../harness.ts";
import { contentsOf } from "../store/fixture.ts";
import { freshFolder, images, listening, triples } from "./fixture.ts";

const test = suite("sql");
const { signal } = new AbortController();
const temporaries = ownTemporaries();
const installed = await import("@duckdb/node-api").then(
  () => true,
  () => false,
);

if (!installed) test.skip("answers SQL", "@duckdb/node-api is not installed");
else {
  let store: Store;
  test.before(async () => void (store = await triples()));

  test("counts, joins the classes, and shows seeds exactly and tensors as their size", async () => {
    const { tables, context } = listening();
    const sql = "select class, count(*) as rows from triples join classes using (label) group by class order by class";
    await inspect({ path: store.folder, sql, settings: resolveSettings([presetLayer("smoke")]), context });
    assert.equal(tables.sql, [
      { class: "cat", rows: 14 },
      { class: "dog", rows: 13 },
      { class: "owl", rows: 13 },
    ]);
    const [row] = await answerSql(store, "select seed + 9007199254740986 as seed, caption, latent from triples where id = 39", signal);
    assert.equal(row, { seed: "9007199254740993", caption: "наутро 🐈", latent: "<768 bytes>" });
    const latents = await images();
    assert.equal(await answerSql(latents, "select count(*)::integer as n from latents where caption is null", signal), [{ n: 5 }]);
  });

  test("Arrow shards give the same answers, and leave nothing behind", async () => {
    const formats = [{}, { shardFormat: "arrow" as const }];
    const [parquet, arrow] = await Promise.all(formats.map((manifest) => triples({ manifest })));
    const sql = "select id, label, caption, octet_length(latent)::integer as bytes from triples order by id desc";
    assert.equal(await answerSql(arrow!, sql, signal), await answerSql(parquet!, sql, signal));
    assert.equal(
      readdirSync(temporaries).filter((name) => name.startsWith("onestep-sql-")),
      [],
    );
  });

  test("only looks: no writing, no other file, no setting, no second statement", async () => {
    const before = contentsOf(store.folder);
    const target = join(freshFolder(), "x.csv");
    const refused: [string, RegExp][] = [
      [`copy triples to '${target}'`, /Permission Error/],
      [`copy triples to '${shardPath(store, 0)}' (format parquet)`, /takes SELECT alone/],
      ["create table t as select 1", /takes SELECT alone/],
      ["attach 'other.db'", /takes SELECT alone/],
      ["install httpfs", /takes SELECT alone/],
      ["set enable_external_access = true", /takes SELECT alone/],
      ["select 1; select 2", /2 statements, expected one SELECT/],
      ["select * from read_text('/etc/hostname')", /[Pp]ermission/],
      ["select * from 'https://example.org/x.parquet'", /Cannot answer/],
      ["selct 1", /Cannot answer "selct 1": Parser Error/],
      ["select nothing from triples", /Cannot answer .*not found|Binder/],
      ["select a.id from triples a, triples b", /more than 1000 rows of an answer: add "limit 1000"/],
    ];
    for (const [sql, message] of refused) {
      const error = await assert.rejects(answerSql(store, sql, signal), message);
      assert.ok(error instanceof Failure && error.exitCode === 2, sql);
      assert.not.match(error.message, "\n");
    }
    assert.ok(!existsSync(target));
    assert.equal(contentsOf(store.folder), before);
  });
}

test("says what to install where DuckDB is absent", async () => {
  const { folder } = await triples({ entries: 8 });
  const hook = `export const resolve = (name, context, next) => {
    if (name !== "@duckdb/node-api") return next(name, context);
    throw Object.assign(new Error("absent"), { code: "ERR_MODULE_NOT_FOUND" });
  }`;
  const hide = `import { register } from "node:module"; register(${JSON.stringify(dataUrl(hook))});`;
  const { status, stderr } = spawnSync(
    process.execPath,
    ["--import", dataUrl(hide), "bin/pipeline", "inspect", folder, "--sql", "select 1"],
    { encoding: "utf8" },
  );
  assert.is(stderr, "Cannot answer SQL: DuckDB is not installed. Install it beside onestep with: npm install @duckdb/node-api\n");
  assert.is(status, 1);
});

const dataUrl = (code: string) => `data:text/javascript,${encodeURIComponent(code)}`;

test.run();
