import { createFinder } from "../../stages/ingest/finder.ts";
import { csvRecords } from "../../stages/ingest/captions/csv.ts";
import { openImages } from "../../stages/ingest/mod.ts";
import { picture } from "../fixtures/png.ts";
import { assert, suite } from "../harness.ts";
import { captionsOf, createPlace, type Files, limits, problemsOf, readAll, reasonsOf } from "./fixture.ts";

const test = suite("captions");
const { zip, folder, remove } = createPlace("captions");
test.after(remove);

const ab: Files = { "a.png": picture(1), "b.png": picture(2) };
const utf16 = (text: string, mark = "\ufeff") => Buffer.from(mark + text, "utf16le");

test("captions: lists before files beside the image, each relative to its own folder", async () => {
  const { source, samples } = await readAll([
    zip({
      "captions.csv": "file_name,text,more\na.png,from csv,x\nsub/c.png,nested,x\n",
      "metadata.jsonl": '{"file_name":"a.png","text":"from jsonl"}\n{"file_name":"b.png","text":"b\\u00a0 jsonl"}\n',
      "a.png": picture(1),
      "a.txt": "from txt",
      "b.png": picture(2),
      "d.png": picture(4),
      "d.txt": " from\ntxt \n",
      "lonely.txt": "nothing beside me",
      "sub/c.png": picture(3),
      "sub/e.png": picture(5),
      "sub/captions.csv": "caption,file_name\nfrom below,e.png\n",
    }),
  ]);
  assert.equal(captionsOf(samples), {
    "a.png": "from csv",
    "b.png": "b jsonl",
    "d.png": "from txt",
    "lonely.txt": "rejected: a text file, not an image",
    "sub/c.png": "nested",
    "sub/e.png": "from below",
  });
  assert.equal([source.entries, source.captioned], [6, 5]);
  const lost = ['metadata.jsonl: row 1: "a.png" has a caption already, the first is kept'];
  assert.equal(problemsOf({ source, samples }).slice(0, 1), lost);
});

test("captions.csv, metadata.csv, metadata.jsonl, .txt, .caption and .json: the first that has one wins", async () => {
  const sources: Files = {
    "captions.csv": "file_name,text\na.png,captions.csv\n",
    "metadata.csv": "file_name,text\na.png,metadata.csv\n", // as Hugging Face writes it
    "metadata.jsonl": '{"file_name": "a.png", "text": "metadata.jsonl"}\n',
    "a.txt": "a.txt",
    "a.caption": "a.caption",
    "a.json": '{"caption": "a.json", "key": "000000000", "status": "success"}', // as img2dataset does
  };
  const names = Object.keys(sources);
  for (const [i, first] of names.entries()) {
    const files = Object.fromEntries(names.slice(i).map((name) => [name, sources[name] as string]));
    const { source, samples } = await readAll([zip({ ...files, "a.png": picture(1) })]);
    assert.equal(captionsOf(samples), { "a.png": first });
    const lost = source.leftOut.reduce((sum, { count }) => sum + count, 0);
    assert.is(lost, names.length - i - 1, `after ${first}: ${reasonsOf({ source, samples })}`);
  }
});

test("a row that does not fit its head is named and never cut", async () => {
  const rows = [
    "a.png,1girl, solo, long hair, red dress",
    '"b.png","1boy, short hair"',
    "c.png",
    'd.png,"a quote that is never closed',
    'e.png,"12" screen"',
    "f.png,a b,",
    "g.png,last",
  ];
  const files = Object.fromEntries(["a", "b", "c", "d", "e", "f", "g"].map((name, i) => [`${name}.png`, picture(i)]));
  const all = await readAll([folder({ ...files, "captions.csv": `file_name,text\n${rows.join("\r\n")}` })]);
  const captions = Object.entries(captionsOf(all.samples)).filter(([, caption]) => caption);
  assert.equal(Object.fromEntries(captions), { "b.png": "1boy, short hair", "g.png": "last" });
  const quote = 'a quote is not closed, or text follows the closing one: write a quote in a text as ""';
  assert.equal(problemsOf(all).slice(0, 5), [
    'captions.csv: row 2: 5 fields where the head has 2: put a text with commas between "quotes"',
    "captions.csv: row 4: 1 field where the head has 2",
    `captions.csv: row 5: ${quote}`,
    `captions.csv: row 6: ${quote}`,
    'captions.csv: row 7: 3 fields where the head has 2: put a text with commas between "quotes"',
  ]);
});

test("text that is not UTF-8 is named with file and row; UTF-16 is read where it says so", async () => {
  const latin = (text: string) => Buffer.from(text, "latin1");
  const cafe = "file_name,text\na.png,le café à Zürich 😀\nb.png,plain\n";
  const whole = { "a.png": "le café à Zürich 😀", "b.png": "plain" };
  for (const [name, bytes] of Object.entries({
    "UTF-8": Buffer.from(cafe),
    "UTF-8 with a mark": Buffer.from(`\ufeff${cafe}`),
    "UTF-16 LE": utf16(cafe),
    "UTF-16 BE": utf16(cafe).swap16(),
  })) {
    const { source, samples } = await readAll([zip({ ...ab, "captions.csv": bytes })]);
    assert.equal([captionsOf(samples), source.leftOut], [whole, []], name);
  }
  const wrong = await readAll([
    zip({
      ...ab,
      "captions.csv": latin("file_name,text\na.png,the artist\u0092s café\nb.png,plain\n"),
      "c.png": picture(3),
      "c.txt": latin("café"),
      "d.png": picture(4),
      "d.txt": utf16("no mark", ""),
      "e.png": picture(5),
      "e.caption": utf16("with a mark"),
      "f.png": picture(6),
      "metadata.jsonl": Buffer.concat([latin('{"file_name":"f.png","text":"caf\xe9"}\n'), Buffer.from("{}\n")]),
    }),
  ]);
  const captions = captionsOf(wrong.samples);
  assert.equal([captions["a.png"], captions["b.png"], captions["c.png"]], [undefined, "plain", undefined]);
  assert.equal([captions["d.png"], captions["e.png"], captions["f.png"]], [undefined, "with a mark", undefined]);
  assert.not.match(JSON.stringify(captions), /\ufffd/);
  const not = "it is not UTF-8: save the file as UTF-8";
  const named = [`captions.csv: row 2: ${not}`, `metadata.jsonl: row 1: ${not}`, "metadata.jsonl: row 2: no file_name"];
  assert.equal(problemsOf(wrong).slice(0, 5), [...named, `c.txt: ${not}`, `d.txt: ${not}`]);
});

test("half a UTF-16 file is refused whole", async () => {
  const all = await readAll([zip({ ...ab, "captions.csv": utf16("file_name,text\na.png,x\n").subarray(0, 21) })]);
  assert.equal(captionsOf(all.samples), { "a.png": undefined, "b.png": undefined });
  assert.equal(problemsOf(all), ["captions.csv: its byte order mark says UTF-16, and it is not: save it as UTF-8"]);
});

test("files that look like captions or labels and are not read are named", async () => {
  const unread = ["labels.csv", "captions.tsv", "captions.json", "train.jsonl", "00.parquet", "notes/a.xml", "y.npy", "captions.txt"];
  const all = await readAll([folder({ ...ab, ...Object.fromEntries(unread.map((name) => [name, "x"])), "README.md": "x" })]);
  const reason = "it looks like captions or labels, and is not read";
  assert.equal(reasonsOf(all), [`captions: ${reason}: ${unread.length}`]);
  assert.equal(problemsOf(all).sort(), unread.map((name) => `${name}: ${reason}`).sort());
  const rejected = all.samples.flatMap((s) => (s.kind === "rejected" ? [s.entry] : []));
  assert.equal(rejected.sort(), [...unread, "README.md"].sort());
});

test("labels of boxes beside images are no captions", async () => {
  const files: Files = { ...ab, "a.txt": "0 0.5 0.5 0.2 0.3\n2 0.1 .4 1 1e-3\n", "b.txt": "2019", "labels/train/c.txt": "0 1 1 1 1" };
  const all = await readAll([zip(files)]);
  assert.equal([captionsOf(all.samples)["a.png"], captionsOf(all.samples)["b.png"]], [undefined, "2019"]);
  assert.equal(problemsOf(all).sort(), [
    "a.png: no caption",
    "a.txt: the text is a list of boxes (YOLO's labels), not a caption",
    "labels/train/c.txt: it looks like captions or labels, and is not read",
  ]);
});

test("a head without the columns, and classes among captions, are told", async () => {
  const none = await readAll([zip({ ...ab, "metadata.csv": "file;text\na.png;x\n" })]);
  assert.equal(problemsOf(none), ["metadata.csv: row 1: the columns file_name and text (or caption) are needed, found: file;text"]);
  const labelled = await readAll([
    zip({ ...ab, "captions.csv": "file_name,text,label\na.png,x,3\n", "metadata.jsonl": '{"file_name":"b.png","text":"y","class":1}\n' }),
  ]);
  assert.equal(captionsOf(labelled.samples), { "a.png": "x", "b.png": "y" });
  assert.equal(problemsOf(labelled), ["captions.csv: row 2: the column label is not read", "metadata.jsonl: row 1: its class is not read"]);
});

test("a caption finds its picture by any spelling of the name that leads to one", async () => {
  const cafe = "caf\u00e9.png";
  const all = await readAll([
    zip({
      [cafe.normalize("NFD")]: picture(1),
      "sub/Gr\u00fcn.PNG": picture(2),
      "plain.png": picture(3),
      "CASE.png": picture(4),
      "case.png": picture(5),
      "beside.JPG": picture(6),
      "Beside.txt": "from beside",
      "metadata.jsonl": [
        { file_name: cafe, text: "a cup" },
        { file_name: ".\\sub\\gr\u00fcn.png", text: "a lawn" },
        { file_name: "./plain.png", text: "a wall" },
        { file_name: "Case.png", text: "whose?" },
        { file_name: "case.png", text: "small" },
        { file_name: "../plain.png", text: "out" },
      ]
        .map((row) => `${JSON.stringify(row)}\n`)
        .join(""),
    }),
  ]);
  assert.equal(captionsOf(all.samples), {
    "CASE.png": undefined,
    "beside.JPG": "from beside",
    "case.png": "small",
    [cafe.normalize("NFD")]: "a cup",
    "plain.png": "a wall",
    "sub/Gr\u00fcn.PNG": "a lawn",
  });
  const [which, out] = problemsOf(all);
  assert.is(which, 'metadata.jsonl: row 4: several images are called "Case.png"');
  assert.is(out, 'metadata.jsonl: row 6: no image is called "../plain.png"');
});

test("names that differ in normalisation alone are told apart where both are there", () => {
  const [composed, decomposed] = ["é.png", "é.png".normalize("NFD")].map((name) => ({ name, size: 0 }));
  const find = createFinder([composed!, decomposed!]);
  assert.equal([find("é.png"), find("é.png".normalize("NFD"))], [[composed], [decomposed]]);
  assert.is(find("./é.png"), "ambiguous");
  assert.is(find("e.png"), undefined);
  const odd = { name: "ambiguous", size: 0 };
  assert.equal(createFinder([odd])("./ambiguous"), [odd]);
});

test("bad rows by the million cost no memory, and their count is told", async () => {
  const few = 4000;
  for (const [name, bytes, lines] of [
    ["metadata.jsonl", Buffer.from("x\n".repeat(2e6)), 2e6],
    ["metadata.jsonl", Buffer.from("{x\n".repeat(3e5)), 3e5],
    ["captions.csv", Buffer.from(`file_name,text\n${"x\n".repeat(1e6)}`), 1e6],
    ["captions.csv", Buffer.from(`file_name,text\n${'x,"a""b\n'.repeat(3e5)}`), 3e5],
    ["captions.csv", Buffer.from(`file_name,text\n${Array.from({ length: 2e5 }, (_, i) => `${i}.png,c\n`).join("")}`), 2e5],
  ] as const) {
    const before = process.memoryUsage().heapUsed;
    const all = await readAll([folder({ "a.png": picture(1), [name]: bytes })]);
    assert.is(
      all.source.leftOut.reduce((sum, { count }) => sum + count, 0),
      lines,
    );
    assert.is(problemsOf(all).length, 20);
    assert.ok(JSON.stringify(all.source.leftOut).length < few, `${JSON.stringify(all.source.leftOut).length} characters are kept`);
    const grown = (process.memoryUsage().heapUsed - before) / 2 ** 20;
    assert.ok(grown < 200, `the heap grew by ${grown.toFixed()} MiB`);
  }
});

test("a line without an end is no caption, nor a quote that swallows the file", async () => {
  const long = "y".repeat(3 * 2 ** 20);
  const all = await readAll([
    folder({
      ...ab,
      "captions.csv": `file_name,text\na.png,"${long}\nb.png,after\n`,
      "metadata.jsonl": `{"file_name":"a.png","text":"${long}"}\n`,
      "c.png": picture(3),
      "c.txt": long,
      "d.png": picture(4),
      "d.json": JSON.stringify({ caption: long }),
    }),
  ]);
  assert.equal(captionsOf(all.samples), { "a.png": undefined, "b.png": "after", "c.png": undefined, "d.png": undefined });
  assert.equal(reasonsOf(all).length, 5);
});

test("reading captions stops when it is told to", async () => {
  const path = folder({ "a.png": picture(1), "captions.csv": `file_name,text\n${"x.png,y\n".repeat(2e6)}` });
  const controller = new AbortController();
  let asked = 0;
  const throwIfAborted = (): void => {
    if (++asked === 100) controller.abort(); // files are few: it is among the rows
    if (controller.signal.aborted) throw controller.signal.reason;
  };
  const signal = Object.assign(controller.signal, { throwIfAborted });
  await assert.rejects(openImages({ paths: [path], limits, signal }), /abort/);
  assert.is(asked, 100);
});

test("csv follows RFC 4180, quotes that are not closed apart", () => {
  const open = "open";
  const cases: [string, (string[] | typeof open)[]][] = [
    ["", []],
    [
      "a,b\n1,2",
      [
        ["a", "b"],
        ["1", "2"],
      ],
    ],
    ["a\r\n\r\n1\r\n", [["a"], ["1"]]],
    [
      "a,b\rc,d\r",
      [
        ["a", "b"],
        ["c", "d"],
      ],
    ],
    ['"a ""b""","c,\r\nd"\n', [['a "b"', "c,\r\nd"]]],
    ['a"b,\n', [['a"b', ""]]],
    ['"",x', [["", "x"]]],
    ['"open,\nend', [open, ["end"]]],
    ['"a"b,c\nd', [open, ["d"]]],
    ['x,"a\ny,"b"\nz', [open, ["y", "b"], ["z"]]],
    [",\n", [["", ""]]],
  ];
  for (const [text, rows] of cases) {
    const found = [...csvRecords(Buffer.from(text))].map(({ fields, wrong }) => (wrong ? open : fields));
    assert.equal(found, rows, JSON.stringify(text));
  }
});

test.run();
