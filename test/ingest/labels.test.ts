import { picture } from "../fixtures/png.ts";
import { assert, suite } from "../harness.ts";
import { captionsOf, createPlace, type Files, labelsOf, problemsOf, readAll, reasonsOf } from "./fixture.ts";

const test = suite("labels");
const { zip, folder, remove } = createPlace("labels");
test.after(remove);

const pictures = (...names: string[]): Files => Object.fromEntries(names.map((name, i) => [name, picture(i)]));
const classes = async (...sets: Files[]) => (await readAll(sets.map(zip))).source.classes;

test("folders are classes only where they look like it", async () => {
  assert.equal(await classes(pictures("cat/a.png", "dog/b.png")), ["cat", "dog"]);
  assert.equal(await classes(pictures("images/a.png", "images/b.png")), []);
  assert.equal(await classes(pictures("a.png", "dog/b.png")), []);
  assert.equal(await classes(pictures("x/cat/a.png", "dog/b.png")), []);
  assert.equal(await classes(pictures("cat/a.png", "dog/b.png"), pictures("p/cow/a.png", "p/cat/c.png")), ["cat", "cow", "dog"]);
  assert.equal(await classes(pictures("cat/a.png", "dog/b.png"), pictures("c.png")), []);
});

test("parts of a data set above classes are passed over, and are no classes themselves", async () => {
  const parts = await readAll([folder(pictures("train/cat/a.png", "train/dog/b.png", "val/cat/a.png", "Testing/owl/c.png"))]);
  assert.equal(labelsOf(parts), { "Testing/owl/c.png": "owl", "train/cat/a.png": "cat", "train/dog/b.png": "dog", "val/cat/a.png": "cat" });
  assert.equal(parts.source.leftOut, []);
  assert.equal(await classes(pictures("set/train/cat/a.png", "set/train/dog/b.png")), ["cat", "dog"]);
  assert.equal(await classes(pictures("train/a.png", "car/b.png")), ["car", "train"], "train is a class beside another vehicle");
  for (const names of [
    ["train/a.png", "test/b.png"],
    ["training/a.png", "validation/b.png", "dev/c.png"],
  ]) {
    const flat = await readAll([zip(pictures(...names))]);
    assert.equal(flat.source.classes, []);
    assert.match(problemsOf(flat).join(), /no classes: the folders .* are parts of a data set, without class folders/);
  }
});

test("class folders that differ in normalisation alone are one class", async () => {
  const [composed, decomposed] = ["caf\u00e9", "cafe\u0301"];
  const all = await readAll([zip(pictures(`train/${composed}/a.png`, `val/${decomposed}/b.png`, "val/tea/c.png"))]);
  assert.equal(
    [all.source.classes, Object.values(labelsOf(all))],
    [
      [composed, "tea"],
      [composed, composed, "tea"],
    ],
  );
  assert.equal(await classes(pictures(`${decomposed}/a.png`, "tea/c.png")), [decomposed, "tea"], "a name alone stays as it is");
});

test("where images lie beside class folders or deeper, a sentence says why there are no classes", async () => {
  for (const [names, at] of [
    [["cat/a.png", "dog/b.png", "stray.png"], "stray.png: no classes: this image lies beside the folders, not in one"],
    [["cat/a.png", "dog/more/b.png"], "dog/more/b.png: no classes: this image lies deeper than class folders do"],
    [["train/cat/a.png", "train/dog/b.png", "test/c.png"], "test/c.png: no classes: this image lies in a part of the data set that has no"],
  ] as const) {
    const all = await readAll([zip(pictures(...names))]);
    assert.equal(all.source.classes, []);
    const [problem = "", ...more] = problemsOf(all);
    assert.ok(problem.startsWith(at), problem);
    assert.equal(more, []);
  }
  const mixed = await readAll([zip(pictures("cat/a.png", "dog/b.png")), zip(pictures("c.png"))]);
  assert.equal(reasonsOf(mixed), ["labels: no classes: this source has none, and others have: 2"]);
});

test("numbered folders are classes, unless they only divide one sequence", async () => {
  const mnist = pictures("0/1.png", "0/21.png", "1/3.png", "10/5.png", "2/0.png");
  assert.equal(await classes(mnist), ["0", "1", "10", "2"]);
  assert.equal(await classes(pictures("0/0.png", "0/1.png", "1/2.png", "1/3.png")), ["0", "1"]);
  const signs = pictures("00000/00000_00000.png", "00000/00000_00001.png", "00001/00000_00000.png"); // as GTSRB has them
  assert.equal(await classes(signs), ["00000", "00001"]);
  for (const names of [
    ["00000/img00000000.png", "00000/img00000999.png", "00001/img00001000.png"], // dataset_tool
    ["00000/000000000.png", "00000/000000001.png", "00001/000010000.png"], // img2dataset
    ["00000/00000.png", "00000/00999.png", "01000/01000.png"], // FFHQ
  ]) {
    const all = await readAll([zip(pictures(...names))]);
    assert.equal(all.source.classes, []);
    assert.match(problemsOf(all).join(), /no classes: the numbered folders 0.* only divide the images/);
  }
});

test("what img2dataset writes is read, and its bookkeeping is no broken image", async () => {
  const files: Files = pictures("00000/000000000.png", "00000/000000001.png", "00001/000010000.png", "00001/000010001.png");
  for (const name of Object.keys(files)) {
    files[name.replace("png", "txt")] = `the words of ${name}`;
    files[name.replace("png", "json")] = JSON.stringify({ caption: "other words", status: "success" });
  }
  for (const shard of ["00000", "00001"]) files[`${shard}_stats.json`] = '{"count":2}';
  files["00000.parquet"] = "PAR1";
  const all = await readAll([zip(files)]);
  assert.equal([all.source.entries, all.source.classes, all.source.captioned], [4, [], 4]);
  assert.is(captionsOf(all.samples)["00001/000010001.png"], "the words of 00001/000010001.png");
  assert.equal(reasonsOf(all).slice(1), [
    "aside: .json beside an image that has its caption already: 4",
    "aside: bookkeeping of img2dataset: 3",
  ]);
  const json = await readAll([folder({ "000000000.png": picture(1), "000000000.json": '{"caption":"from json"}' })]);
  assert.equal(captionsOf(json.samples), { "000000000.png": "from json" });
  const words = await readAll([folder({ "a.png": picture(1), "a.json": '{"shapes":[]}' })]);
  assert.equal(reasonsOf(words), ["captions: a JSON file beside an image without a text under caption in it: 1"]);
});

const shards = pictures("00000/img00000000.png", "00000/img00000001.png", "00001/img00001000.png", "00001/img00001001.png");
const withJson = (content: unknown) => readAll([zip({ ...shards, "dataset.json": JSON.stringify(content) })]);

test("dataset.json of EDM and StyleGAN gives the labels, as a list or by name, in the order of its numbers", async () => {
  const names = Object.keys(shards);
  const labels = [10, 9, 10, 2];
  for (const content of [
    { labels: names.map((name, i) => [name, labels[i]]) },
    { labels: Object.fromEntries(names.map((name, i) => [name.replace("/", "\\"), labels[i]])) },
  ]) {
    const all = await withJson(content);
    assert.equal(all.source.classes, ["2", "9", "10"]);
    assert.equal(labelsOf(all), Object.fromEntries(names.map((name, i) => [name, String(labels[i])])));
    assert.equal([all.source.entries, all.source.leftOut], [4, []]);
  }
  const words = await withJson({ labels: names.map((name, i) => [name, i < 2 ? "cat" : "a dog"]) });
  assert.equal(words.source.classes, ["a dog", "cat"]);
});

test("a dataset.json that gives no labels says why, and its folders are no classes", async () => {
  const none = await withJson({ labels: null });
  assert.equal(none.source.classes, []);
  assert.match(problemsOf(none).join(), /numbered folders/);
  const names = Object.keys(shards);
  const vectors = await withJson({ labels: names.map((name) => [name, [0, 1, 0]]) });
  assert.equal(vectors.source.classes, []);
  assert.match(
    problemsOf(vectors)[0] ?? "",
    /^dataset.json: a label is a vector, where a class is one whole number \(00000\/img00000000.png\)/,
  );
  const some = await withJson({ labels: [[names[0], 1], ["gone.png", 2], 5] });
  assert.equal(some.source.classes, []);
  assert.match(problemsOf(some).join("; "), /gone.png.*without the name.*no label for 3 of 4 images, the first is this one/);
});

test("another dataset.json is told, and the folders decide", async () => {
  for (const content of ["{", '"x"', JSON.stringify({ labels: { 0: "liver" } }), JSON.stringify({ name: "x" }), "[".repeat(1e6)]) {
    const all = await readAll([zip({ ...pictures("cat/a.png", "dog/b.png"), "dataset.json": content })]);
    assert.equal(all.source.classes, ["cat", "dog"], content.slice(0, 50));
    assert.match(problemsOf(all)[0] ?? "", /^dataset.json: /);
  }
});

test.run();
