import { Failure } from "../../schemas/failure.ts";
import { idOf, rowOfId, selectRows } from "../../stages/inspect/rows.ts";
import { parseWhere } from "../../stages/inspect/where.ts";
import { assert, suite } from "../harness.ts";
import { captions, images, triples } from "./fixture.ts";

const test = suite("where");
const columns = ["id", "seed", "label", "class", "caption"];
const row = { id: 17, seed: 9007199254740993n, label: 3, class: null, caption: "it's a Cat" };
const holds = (text: string) => parseWhere(text, columns)(row);

test("compares as SQL does, nulls and brackets too", () => {
  const cases: [string, boolean | null][] = [
    ["label = 3", true],
    ["LABEL<>3", false],
    ["id >= 17 and id < 17.5", true],
    ["label = 1 or label = 3 and id = 0", false],
    ["(label = 1 or label = 3) and id = 17", true],
    ["not label = 3", false],
    ["seed = 9007199254740993", true], // exact past 2^53
    ["seed = 9007199254740992", false],
    ["caption = 'it''s a Cat'", true],
    ["caption like '%a C_t'", true],
    ["caption like '%dog%'", false],
    ["caption not like '%dog%'", true],
    ["label in (1, 2, 3)", true],
    ["label not in (1, 2)", true],
    ["class is null", true],
    ["class is not null", false],
    ["class = 'cat'", null],
    ["not class = 'cat'", null],
    ["class = 'cat' or label = 3", true],
    ["class = 'cat' and label = 4", false],
    ["class = 'cat' and label = 3", null],
    ["caption = 3", false],
    ["label > -1", true],
    ["label > -1e3 and id < 1e3", true],
    ["not not label = 3", true],
    ["not not not label = 3", false],
    ["id in (17.5, 17, 17)", true],
    ["seed in (9007199254740992, 1)", false],
    ["seed in (1, 9007199254740993)", true],
    ["caption in (17, 'it''s a Cat')", true],
    ["class in ('cat')", null],
    ["label not in ('3')", true],
  ];
  for (const [text, expected] of cases) assert.is(holds(text), expected, text);
});

test("takes conditions of any length", () => {
  const many = Array.from({ length: 50_000 }, (_, i) => i + 100);
  assert.is(holds(many.map((id) => `id = ${id}`).join(" or ")), false);
  assert.is(holds(`${many.map((id) => `id = ${id}`).join(" or ")} or id = 17`), true);
  assert.is(holds(many.map((id) => `id != ${id}`).join(" and ")), true);
  assert.is(holds(`${"not ".repeat(50_001)}label = 3`), false);
  assert.is(holds(`${"(".repeat(200)}label = 3${")".repeat(200)}`), true);
  assert.is(holds(`(${many.map((id) => `(id = ${id})`).join(" or ")})`), false);
  const among = parseWhere(`id in (${many.join(", ")})`, columns);
  let found = 0;
  for (let id = 0; id < 200_000; id++) if (among({ id }) === true) found++;
  assert.is(found, many.length);
});

test("names the place and the remedy of a mistake", () => {
  const cases: [string, RegExp][] = [
    ["", /ends too early, expected a column/],
    ["label == 3", /found "=" at character 8, expected a number or a 'word'/],
    ["lable = 3", /there is no column "lable": did you mean "label"/],
    ["label = 3 and", /ends too early/],
    ["label = 3 id = 4", /found "id" at character 11/],
    ["(label = 3", /expected \)/],
    ["label = cat", /found "cat" at character 9/],
    ['label = "cat"', /cannot read """ at character 9; words stand in single quotes/],
    ["label not = 3", /expected in or like/],
    ["label; drop", /cannot read ";"/],
    ["label constructor 3", /found "constructor" at character 7, expected one of = !=/],
    ["label '=' 3", /found "'='" at character 7/],
    ["label = 1e999", /the number "1e999" at character 9 is larger than any/],
    ["label = -1e999", /the number "-1e999"/],
    [`label = \u001b[31m`, /cannot read "\\u\{1b\}" at character 9/],
    [`${"(".repeat(100_000)}label = 3`, /more than 200 brackets within each other/],
    [`${"x".repeat(100_000)} = 3`, /^.{0,500}$/],
    [`label = 3 and ${"'".repeat(100_001)}`, /^.{0,500}$/],
    [`label = 3${" ".repeat(100_000)}x`, /found "x" at character 100010/],
  ];
  for (const [text, message] of cases) {
    try {
      parseWhere(text, columns);
    } catch (error) {
      assert.instance(error, Failure);
      assert.is((error as Failure).exitCode, 2);
      assert.match((error as Failure).message, message);
      continue;
    }
    assert.unreachable(`"${text}" was taken`);
  }
});

test("selects rows across shards, with offset and limit, past rejected ones", async () => {
  const store = await triples({ change: (each) => (each.id % 5 === 1 ? "torn" : each) });
  const { signal } = new AbortController();
  const select = async (options: Omit<Parameters<typeof selectRows>[1], "signal">) => {
    const ids: number[] = [];
    for await (const each of selectRows(store, { ...options, signal })) {
      assert.equal((await rowOfId(store, idOf(each.row))).position, each.position);
      ids.push(idOf(each.row));
    }
    return ids;
  };
  const all = Array.from({ length: 40 }, (_, id) => id).filter((id) => id % 5 !== 1);
  assert.equal(await select({}), all);
  assert.equal(await select({ offset: 13, limit: 9 }), all.slice(13, 22));
  const where = parseWhere("class = 'dog' and shard >= 1", ["class", "shard"]);
  const dogs = all.filter((id) => id % 3 === 1 && id >= 8);
  assert.equal(await select({ where }), dogs);
  assert.equal(await select({ where, offset: 2, limit: 3 }), dogs.slice(2, 5));
  assert.equal(
    await select({ except: new Set([0, 1, 3, 4]) }),
    all.filter((id) => id >= 16 && id < 24),
  );
});

test("finds a row by its id, or says why there is none", async () => {
  const store = await triples({ change: (each) => (each.id === 9 ? "7 of its values are not finite" : each), seal: false });
  assert.is(idOf((await rowOfId(store, 10)).row), 10);
  await assert.rejects(rowOfId(store, 9), /Cannot show row 9 of .*: it was rejected: 7 of its values/);
  await assert.rejects(rowOfId(store, 40), /its rows have the ids 0 to 39/);
  const latents = await images();
  const { row: found } = await rowOfId(latents, 6);
  assert.equal([found.caption, "name" in found && found.name], [captions[2], "photos/6.png"]);
});

test.run();
