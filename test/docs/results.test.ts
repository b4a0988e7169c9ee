/** The result pages are what the files in docs/results say, and marks become the tables they promise. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { resultPages, resultsFolder } from "../bench/results.ts";
import { chartFile, chartMarks, drawChart } from "../bench/results/charts.ts";
import { recordsOf } from "../bench/results/records.ts";
import { renderRegions, renderTemplate } from "../bench/results/template.ts";
import { assert, suite } from "../harness.ts";

const test = suite("results");
const folder = mkdtempSync(join(tmpdir(), "onestep-results-"));
test.after(() => rmSync(folder, { recursive: true }));

test("docs/RESULTS.md, its charts and the README's tables are what `npm run results` makes; every file in docs/results is shown", () => {
  const records = recordsOf(resultsFolder);
  const pages = resultPages(records);
  for (const [path, text] of Object.entries(pages)) assert.is(readFileSync(path, "utf8"), text, `${path}: npm run results`);
  const files = readdirSync(resultsFolder).filter((name) => name.endsWith(".json"));
  assert.equal([...records.used].sort(), files.sort());
  const charts = readdirSync(resultsFolder).filter((name) => name.endsWith(".svg"));
  assert.equal(
    charts.sort(),
    Object.keys(pages)
      .flatMap((path) => (path.endsWith(".svg") ? basename(path) : []))
      .sort(),
  );
});

test("no file in docs/results names a folder of the machine that made it", () => {
  for (const name of readdirSync(resultsFolder).filter((name) => name.endsWith(".json"))) {
    const absolute = /"(?:[^"]*[ =])?(\/[\w.-]+\/[^"]*)"/.exec(readFileSync(join(resultsFolder, name), "utf8"));
    assert.is(absolute?.[1], undefined, name);
  }
});

const machine = { processor: "P", cores: 2, memory: "8 GB", system: "linux x64", onestep: "1.0.0", node: "20.0.0", onnxruntime: "1.0.0" };
const made = { version: 1, machine, load: 0.5 };
const summary = (mean: number, spread?: number) => ({ mean, spread, count: spread === undefined ? 1 : 3 });

function evaluation(distances: { student: number; teacher: number }) {
  const subject = (role: string, mean: number, more: object = {}) => ({
    subject: `${role}, n NFE`,
    role,
    figures: { frechetDistance: summary(mean, 0.0123), precision: summary(0.5), recall: summary(0.25), ...more },
  });
  return {
    format: "onestep-evaluation",
    ...made,
    command: "pipeline evaluate --model m",
    settings: { evaluate: { count: 1000 }, simulate: { solver: "heun", guidance: 1 } },
    reference: { count: 2000, size: 28, preparation: "pixels" },
    features: { name: "net", dimension: 64, resizeFilter: "none" },
    subjects: [
      { ...subject("student", distances.student), evaluations: 1 },
      { ...subject("teacher", distances.teacher, { captionsObeyed: summary(0.934) }), evaluations: 35 },
    ],
    speed: { "student, n NFE": { millisecondsAnImage: 3.333, imagesASecond: 642.4, batch: 64 } },
  };
}

function keep(name: string, record: object): void {
  writeFileSync(join(folder, name), JSON.stringify(record));
}

test("an evaluation's mark is a table of the subjects that are named, against the teacher's distance", () => {
  keep("one.json", evaluation({ student: 0.75, teacher: 1.5 }));
  keep("two.json", evaluation({ student: 3, teacher: 9 }));
  const template = '<!-- evaluation one.json: student; two.json student "longer"; teacher -->\n';
  assert.equal(renderTemplate(template, recordsOf(folder)).trim().split("\n"), [
    "|  | NFE | Fréchet distance | of the teacher's | precision | recall | captions obeyed | images/s | ms alone |",
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    "| **student** | 1 | 0.750 ± 0.012 | 0.5 | 0.5 | 0.25 |  | 642 | 3.33 |",
    "| longer | 1 | 3.000 ± 0.012 | 2 | 0.5 | 0.25 |  | 642 | 3.33 |",
    "| **teacher** | 35 | 1.500 ± 0.012 | 1 | 0.5 | 0.25 | 93.4 % |  |  |",
  ]);
});

test("speeds of a busy machine are not shown, and the page says why", () => {
  keep("busy.json", { ...evaluation({ student: 1, teacher: 2 }), load: 1.5 });
  const page = renderTemplate("<!-- evaluation busy.json: student; teacher -->\n<!-- made busy.json -->", recordsOf(folder));
  assert.not.match(page, /images\/s|642/);
  assert.match(page, /Load of the machine before it began: 1\.5; no speed is shown\./);
});

test("figures in sentences, how it was made, and the tables of a README", () => {
  const records = recordsOf(folder);
  const figures = "{{one.json student.frechetDistance}}, {{one.json student.frechetDistance / teacher.frechetDistance}}, ";
  assert.is(renderTemplate(`${figures}{{one.json student.recall - teacher.precision}}`, records), "0.750 ± 0.012, 0.5, -0.250");
  assert.match(
    renderTemplate("<!-- made one.json -->", records),
    /^1,000 samples of each of 3 seeds .* against 2,000 images .*\n\n {4}bin\/pipeline evaluate --model m$/,
  );
  const page = '<!-- results: summary one.json "One" -->\nold\n<!-- /results -->\n';
  const region = renderRegions(page, records);
  assert.match(
    region,
    new RegExp(
      "^<!-- results: .+ -->\\n\\n\\| student / teacher \\| NFE .*\\n.*\\n" +
        "\\| One \\| 1 / 35 \\| .* \\| \\*\\*0\\.5\\*\\* \\|[^\\n]*\\n\\n<!-- /results -->\\n$",
    ),
  );
  assert.is(renderRegions(region, records), region);
});

test("a study's and a benchmark's marks", () => {
  const figures = (mean: number) => ({
    frechetDistance: summary(mean),
    precision: summary(0.5),
    recall: summary(0.1),
    samples: 64,
    images: 64,
    reference: "r",
    features: "f",
  });
  const run = (variant: string, seed: number, mean: number, more: object = {}) => ({
    study: "s",
    variant,
    seed,
    run: `${variant}/${seed}`,
    training: "t",
    measurement: "m",
    figures: figures(mean),
    ...more,
  });
  const variants = [
    { name: "a", about: "A", published: 9, changes: {} },
    { name: "b", about: "B", changes: {} },
    { name: "c", about: "never run", changes: {} },
  ];
  const study = { name: "s", about: "S", method: "m", source: "paper", variants };
  const record = {
    format: "onestep-study",
    ...made,
    command: "pipeline study s",
    facts: {},
    study,
    baselines: { baseline: "h", evaluations: 35, teacher: figures(2) },
    results: [run("a", 0, 3), run("b", 0, 8), run("a", 1, 5)],
  };
  keep("study.json", record);
  const rows = renderTemplate("<!-- study study.json -->", recordsOf(folder)).split("\n");
  assert.is(rows.length, 5);
  assert.is(rows[0], "| variant | Fréchet distance | seeds | times the teacher's | precision | recall | published | what it is |");
  assert.is(rows[2], "| a | 4 ± 1.4 | 2 | 2 | 0.5 ± 0 | 0.1 ± 0 | 9 | A |");
  assert.is(rows[4], "| (teacher) | 2 |  | 1 | 0.5 | 0.1 |  | the teacher, 35 evaluations an image |");

  const calls = [1, 2].map((count) => ({ calls: count, frechetDistance: summary(8 / count) }));
  keep("methods.json", { ...record, study: { ...study, calls: [1, 2] }, results: [run("b", 0, 8, { calls })] });
  const few = renderTemplate("<!-- study methods.json -->", recordsOf(folder)).split("\n");
  assert.match(few[0]!, /^\| method \| seeds \| distance at 1 \| distance at 2 \|/);
  assert.match(few[2]!, /^\| b \| 1 \| 8 \| 4 \| 4 \|/);
  const sentence = "{{methods.json b.distanceAt2 / teacher.frechetDistance}} {{study.json a.frechetDistance}}";
  assert.is(renderTemplate(sentence, recordsOf(folder)), "2 4.0 ± 1.4");
  assert.throws(() => renderTemplate("{{study.json c.recall}}", recordsOf(folder)), /c\.recall.*study\.json/);

  const summaryOf = (mark: string) => renderTemplate(`<!-- summary ${mark} -->`, recordsOf(folder)).split("\n")[2];
  keep("counted.json", { ...record, results: [{ ...run("b", 0, 8), figures: { ...figures(8), evaluations: 1 } }] });
  assert.is(summaryOf('counted.json b "B"'), "| B | 1 / 35 | 8 / 2 | **4** | 0.5 / 0.5 | 0.1 / 0.1 |");
  assert.throws(() => summaryOf('counted.json c "C"'), /Cannot find .*c.* in counted\.json/);
  const marks = chartMarks('<!-- chart methods.json calls "Distance & calls" --> <!-- chart study.json calls "none" -->');
  assert.is(chartFile(marks[0]!), "methods.calls.svg");
  assert.match(drawChart(marks[0]!, recordsOf(folder)), /^<svg[\s\S]*network calls an image/);
  assert.throws(() => drawChart(marks[1]!, recordsOf(folder)), /Cannot draw "calls" of study\.json/);
  const picture = renderTemplate('<!-- chart methods.json calls "Distance" -->', recordsOf(folder));
  assert.is(picture, "![Distance](results/methods.calls.svg)");

  keep("bench.json", {
    format: "onestep-bench",
    ...made,
    command: "node x.ts",
    rows: [
      { job: "write", ratio: 1.2 },
      { job: "read", ratio: 0.9 },
    ],
  });
  assert.is(
    renderTemplate("<!-- bench bench.json -->", recordsOf(folder)),
    "| job | ratio |\n| --- | --- |\n| write | 1.2 |\n| read | 0.9 |",
  );
});

test("images drawn again from their tokens are a table of the ways", () => {
  const way = (subject: string, evaluations: number, lpips: number) => ({
    subject,
    evaluations,
    seeds: [{ count: 2880 }],
    figures: { lpips: summary(lpips, 0.01), psnr: summary(20) },
  });
  const subjects = [way("the tokenizer's own decoder", 0, 0.5), way("student, 2 NFE", 2, 0.25)];
  keep("again.json", { format: "onestep-reconstruction", ...made, command: "pipeline reconstruct", features: { name: "net" }, subjects });
  const marks = "<!-- reconstruction again.json -->\n{{again.json calls2.lpips / tokenizer.lpips}}";
  assert.equal(renderTemplate(marks, recordsOf(folder)).split("\n").slice(2), [
    "| the tokenizer's own decoder |  | 2,880 | 0.500 ± 0.010 | 20 |",
    "| student, 2 NFE | 2 | 2,880 | 0.250 ± 0.010 | 20 |",
    "0.5",
  ]);
});

test("a benchmark's file holds its settings, its command line and its rows, and can be shown", () => {
  const [root, out] = [fileURLToPath(new URL("../../", import.meta.url)), join(folder, "script.json")];
  const args = ["--import", "tsx", "test/bench/nothing.ts", "word", "--out", out];
  execFileSync(process.execPath, args, { cwd: root, env: { ...process.env, ROUNDS: "2", ONLY: undefined } });
  const { command, rows } = recordsOf(folder).read("script.json", "onestep-bench");
  assert.is(command, `ROUNDS=2 node --import tsx test/bench/nothing.ts word --out ${out}`);
  assert.equal(rows, [{ only: "all", rounds: 2, words: "word" }]);
});

test("what cannot be shown is an error that names the file or the mark", () => {
  keep("odd.json", { format: "onestep-evaluation", version: 1 });
  const render = (template: string) => () => renderTemplate(template, recordsOf(folder));
  assert.throws(render("<!-- made odd.json -->"), /odd\.json/);
  for (const mark of [
    "evaluation absent.json: student",
    'evaluation one.json: student; absent.json student "no"',
    'summary absent.json "None"',
    'summary one.json "One"; absent.json "None"',
    "study absent.json",
    "methods absent.json",
    "bench absent.json",
    "reconstruction absent.json",
    "made absent.json",
    'chart absent.json calls "words"',
  ]) {
    assert.throws(render(`<!-- ${mark} -->`), /Cannot find .*absent\.json, which a mark names/, mark);
    const page = `<!-- results: ${mark} -->\n\n<!-- /results -->`;
    assert.throws(() => renderRegions(page, recordsOf(folder)), /absent\.json, which a mark names/, `in a README: ${mark}`);
  }
  assert.throws(render("{{absent.json student.recall}}"), /absent\.json/);
  assert.throws(render("<!-- with absent.json -->\npart\n<!-- end -->"), /Cannot read the mark "<!-- with/);
  assert.throws(render("<!-- bench one.json -->"), /one\.json.*"onestep-bench" is needed/);
  assert.throws(render("<!-- evaluation one.json: floor -->"), /Cannot find a floor in one\.json/);
  assert.throws(render("{{one.json student.nothing}}"), /student\.nothing.*one\.json/);
  assert.throws(render("<!-- summary one.json One -->"), /expected FILE\.json "label"/);
});

test.run();
