import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { commandLine } from "../fixtures/command-line.ts";
import type { PipelineEvent } from "../../schemas/events.ts";
import { leftOutInWords, parseLeftOut } from "../../schemas/left-out.ts";
import { createOmissions } from "../../stages/ingest/omissions.ts";
import { writeChecksums } from "../../store/records/checksums.ts";
import { readLeftOut } from "../../store/records/left-out.ts";
import { picture } from "../fixtures/png.ts";
import { assert, suite } from "../harness.ts";
import { createPlace, type Files } from "./fixture.ts";

const test = suite("left out");
const { zip, folder, remove, top } = createPlace("left-out");
test.after(remove);

/** Runs a command; its exit code, its events, and what it says of its failure. */
async function onestep(words: string[], signal = new AbortController().signal) {
  const { code, out, err } = await commandLine([...words, "--json"], { signal });
  const events = out.split("\n").flatMap((line) => (line.startsWith("{") ? [JSON.parse(line) as PipelineEvent] : []));
  const values = events.flatMap((event) => (event.type === "result" ? [event.values] : [])).at(-1);
  return { code, out, err, values, warnings: events.flatMap((event) => (event.type === "warning" ? [event.message] : [])) };
}

const ingest = (input: string, out: string, signal?: AbortSignal) => onestep(["ingest", input, "--preset", "smoke", "--out", out], signal);

const messy: Files = {
  ...Object.fromEntries(Array.from({ length: 4 }, (_, i) => [`${i}.png`, picture(i)])),
  "captions.csv": `file_name,text\n0.png,zero\n${Array.from({ length: 30 }, (_, i) => `gone-${i}.png,nobody\n`).join("")}`,
  "labels.tsv": "0.png\t1",
  "broken.png": "no picture",
  ".DS_Store": "x",
};

test(
  "an ingest says what it leaves out: in warnings, in its last line, in the store, in inspect and in the report",
  async () => {
    const out = join(top, "messy");
    const { code, values, warnings } = await ingest(zip(messy), out);
    assert.is(code, 0);
    assert.is(warnings.length, 22); // twenty problems, how many more there are, and what was rejected
    assert.match(warnings[1] ?? "", /^zip-0\.zip: captions\.csv: row 3: no image is called "gone-0\.png"$/);
    assert.match(
      warnings[20] ?? "",
      /^and 15 more are left out; in all 35 \(30 captions: no image is called so \(first: .*captions\.csv: row 3: .*\); 4 captions/,
    );
    assert.match(
      warnings[21] ?? "",
      /^2 rejected \(zip-0\.zip: (labels\.tsv: it looks like|broken\.png: not an image).*\): see .*quarantine$/,
    );
    assert.equal([values?.rows, values?.rejected, values?.captions], [4, 2, 1]);
    assert.match(String(values?.["left out"]), /^36 \(30 captions: no image is called so \(first: .*"gone-0\.png"\); /);

    const list = (await readLeftOut({ folder: out })) ?? [];
    assert.equal(
      list.map(({ kind, reason, count }) => `${count} ${kind} ${reason}`),
      [
        "30 captions no image is called so",
        "4 captions no caption",
        "1 captions it looks like captions or labels, and is not read",
        "1 aside litter of systems and tools",
      ],
    );
    assert.is(list[0]?.first[0], 'zip-0.zip: captions.csv: row 3: no image is called "gone-0.png"');
    assert.ok(list.every(({ first }) => first.length <= 5));

    const inspected = (await onestep(["inspect", out])).out;
    const page = join(top, "report.html");
    assert.is((await onestep(["inspect", out, "--html", page])).code, 0);
    const report = readFileSync(page, "utf8");
    for (const { reason } of list) for (const text of [inspected, report]) assert.ok(text.includes(reason), reason);
    for (const name of ["gone-0.png", "labels.tsv", ".DS_Store"])
      for (const text of [inspected, report]) assert.ok(text.includes(name), name);
  },
  { seconds: 120 },
);

test(
  "the record is a function of the input, is checked, and a store without one is read",
  async () => {
    const input = zip(messy);
    const [one, two] = [join(top, "one"), join(top, "two")];
    for (const out of [one, two]) assert.is((await ingest(input, out)).code, 0);
    const record = join(one, "left-out.json");
    const text = readFileSync(record, "utf8");
    assert.is(readFileSync(join(two, "left-out.json"), "utf8"), text);
    assert.not.ok(text.includes(top));

    writeFileSync(record, text.replace("30", "31"));
    assert.is((await onestep(["verify", one])).code, 1);
    assert.is((await ingest(input, one)).code, 0);
    assert.is(readFileSync(record, "utf8"), text);

    writeFileSync(record, "{");
    const damaged = await onestep(["inspect", one]);
    assert.match(damaged.err, /left-out\.json: it is damaged/);
    rmSync(record); // a store of an earlier version
    await writeChecksums(one);
    for (const words of [
      ["verify", one],
      ["inspect", one],
    ])
      assert.is((await onestep(words)).code, 0);
    assert.is(await readLeftOut({ folder: one }), undefined);
  },
  { seconds: 120 },
);

test("the account is bounded whatever is added, and what it shows is safe to print", () => {
  const omissions = createOmissions();
  for (let i = 0; i < 1e5; i++) {
    const name = `\u001b[2J${"x".repeat(1000)}${i}`;
    omissions.add({ kind: "captions", source: name, entry: name, row: i, reason: `reason \u202e${i % 1000} ${name}`, detail: () => name });
  }
  const text = JSON.stringify([omissions.list(), omissions.problems]);
  assert.is(omissions.problems.length, 20);
  assert.is(
    omissions.list().reduce((sum, { count }) => sum + count, 0),
    1e5,
  );
  assert.ok(text.length < 1e6, `${text.length} characters`);
  assert.not.match(
    JSON.parse(text)
      .flat()
      .map((line: object) => Object.values(line).flat().join(""))
      .join(""),
    /[\u0000-\u001f\u202e]/,
  );
  assert.is(parseLeftOut('{"leftOut":[{"kind":"x"}]}'), undefined);
  assert.is(leftOutInWords([]), 0);
});

test(
  "an ingest into a folder inside its own input goes on, and again",
  async () => {
    const path = folder({ "cat/a.png": picture(1), "dog/b.png": picture(2) });
    const out = join(path, "latents");
    const stop = new AbortController();
    stop.abort();
    await ingest(path, out, stop.signal);
    const first = await ingest(path, out);
    assert.equal([first.code, first.values?.rows, first.values?.classes], [0, 2, 2]);
    const manifest = readFileSync(join(out, "store.json"), "utf8");
    rmSync(join(out, "shards", "000000.parquet")); // as after a kill
    rmSync(join(out, "summary.json"));
    for (let times = 0; times < 2; times++) {
      const again = await ingest(path, out);
      assert.equal([again.code, again.err, again.values?.rows], [0, "", 2]);
    }
    assert.ok(existsSync(join(out, "summary.json")));
    assert.is(readFileSync(join(out, "store.json"), "utf8"), manifest);
    const other = await ingest(path, join(path, "others", "latents"));
    assert.equal(
      [other.values?.rows, other.values?.["left out"]],
      [2, `1 (1 aside: a store or run of onestep (${path.slice(top.length + 1)}: latents/))`],
    );
    const same = await ingest(path, path);
    assert.equal([same.code, /Cannot ingest into .*: it holds files/.test(same.err)], [1, true]);
  },
  { seconds: 120 },
);

test.run();
