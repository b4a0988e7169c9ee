import { createReporter, type Mode } from "../../bin/reporter.mts";
import type { PipelineEvent } from "../../schemas/events.ts";
import { bytesInWords, durationInWords, numberInWords } from "../../schemas/words.ts";
import { assert, suite } from "../harness.ts";

const test = suite("reporter");

/** A reporter with a clock that only `pass` moves. */
function faked(mode: Mode, { colour = false, columns = 100, room = Number.POSITIVE_INFINITY } = {}) {
  let time = 0;
  let timers: { at: number; run: () => void }[] = [];
  const written = { out: "", err: "" };
  const reporter = createReporter({
    mode,
    colour,
    columns: () => columns,
    room: () => room,
    out: (text) => void (written.out += text),
    err: (text) => void (written.err += text),
    now: () => time,
    after: (ms, run) => void timers.push({ at: time + ms, run }),
  });
  const pass = (ms: number) => {
    time += ms;
    const due = timers.filter(({ at }) => at <= time);
    timers = timers.filter(({ at }) => at > time);
    for (const { run } of due) run();
  };
  const take = () => {
    const text = { ...written };
    written.out = written.err = "";
    return text;
  };
  return { ...reporter, pass, take };
}

const step = (done: number, values = {}, total: number | undefined = 100): PipelineEvent => ({
  type: "progress",
  stage: "train",
  done,
  total,
  unit: "steps",
  values,
});

test("writes a status line every five seconds and one at the end", () => {
  const { report, pass, take } = faked("lines");
  report(step(0));
  assert.is(take().err, "");
  for (let second = 1; second < 5; second++) {
    pass(1000);
    report(step(second * 2, { loss: 0.123456, norm: 7, samples: second * 64 }));
  }
  assert.is(take().err, "");
  pass(1000);
  report(step(10, { loss: 0.123456, norm: 7, samples: 320 }));
  assert.is(take().err, "train  10/100 steps  10%  loss 0.1235  45 s left\n");
  pass(4000);
  report(step(18));
  assert.is(take().err, "");
  pass(10);
  report(step(100));
  assert.is(take().err, "train  100/100 steps  loss 0.1235  in 9 s\n");
});

test("the time left does not jump where steps come in bursts, with waits for data between them", () => {
  const { report, pass, take } = faked("lines");
  const total = 1600; // 16 steps a minute: 100 minutes
  report(step(0, {}, total));
  let done = 0;
  const errors: number[] = [];
  for (let minute = 1; minute <= 60; minute++) {
    pass(58_400);
    for (let i = 0; i < 16; i++) {
      pass(100);
      report(step(++done, {}, total));
    }
    const left = /(?:(\d+) h )?(\d+) m(?: \d+ s)? left/.exec(take().err);
    assert.ok(left, "a line after each wait");
    const minutes = 60 * Number(left[1] ?? 0) + Number(left[2]);
    if (minute > 10) errors.push(Math.abs(minutes / (100 - minute) - 1));
  }
  assert.ok(Math.max(...errors) < 0.35, `${Math.max(...errors)}`);
});

test("keeps a value until the next event that has it, and is silent about zeros", () => {
  const { report, pass, take } = faked("lines");
  report(step(1, { loss: 3, distance: 12.3, rejected: 0 }));
  pass(5000);
  report(step(2, { loss: 2 }));
  assert.match(take().err, /^train {2}2\/100 steps {2}2% {2}loss 2 {2}distance 12.3 {2}8 m 10 s left\n$/);
  report({ type: "progress", stage: "ingest", done: 1, unit: "images", values: { rejected: 1 } });
  pass(5000);
  report({ type: "progress", stage: "ingest", done: 9, unit: "images", values: { rejected: 2 } });
  assert.is(take().err, "ingest  9 images  rejected 2\n");
  report(step(1, { loss: 4 })); // begins anew
  assert.is(take().err, "train  1/100 steps  1%  loss 4\n");
  pass(5000);
  report(step(3, {}));
  assert.is(take().err, "train  3/100 steps  3%  loss 4  4 m 03 s left\n");
});

test("takes the rate over the last half minute, and none for what a resumed run had done before", () => {
  const { report, pass, take } = faked("lines");
  report(step(5000, {}, 10_000));
  pass(5000);
  report(step(5005, {}, 10_000));
  assert.match(take().err, / 1 h 23 m left/);
  for (let second = 1; second <= 40; second++) {
    pass(1000);
    report(step(5005 + 10 * second, {}, 10_000));
  }
  assert.match(take().err.trimEnd().split("\n").at(-1)!, / 7 m 40 s left$/); // 4595 steps at 10 a second
});

test("redraws bars at most ten times a second and leaves finished ones standing", () => {
  const { report, pass, take, close } = faked("bars");
  for (let i = 0; i <= 50; i++) {
    report(step(i));
    pass(10);
  }
  const { err } = take();
  assert.is(err.match(/train/g)!.length, 6, "half a second, six frames");
  assert.is(err.match(/\u001b\[1A\u001b\[J/g)!.length, 5, "each but the first erases one line");
  report(step(100));
  assert.match(take().err, /█{20} 100\/100 steps {2}in under 1 s\n$/);
  report({ type: "note", stage: "train", message: "saved" });
  assert.equal(take(), { out: "train: saved\n", err: "" }, "nothing left to erase");
  close();
});

test("shows every active stage, and lines no wider than the terminal", () => {
  const { report, pass, take, close } = faked("bars", { columns: 60 });
  report({ type: "progress", stage: "simulate", done: 10, total: 20, unit: "shards" });
  pass(50);
  report(step(1, { regression: 0.5, adversarial: 0.25, gradient: 1.75, perceptual: 0.3 }));
  pass(50);
  const rows = take()
    .err.split("\n")
    .filter((row) => /^\S*(simulate|train)/.test(row.replace("\u001b[1A\u001b[J", "")));
  assert.equal(
    rows.map((row) => row.includes("simulate")),
    [true, true, false],
  );
  for (const row of rows) assert.ok([...row.replace("\u001b[1A\u001b[J", "")].length <= 60, row);
  report(step(2));
  close();
  assert.match(take().err, /2\/100/, "the pending frame is drawn on closing");
  report(step(3));
  pass(1000);
  assert.is(take().err, "");
});

test("a table that is wider than the terminal goes on below, under the names of its rows", () => {
  const rows = [
    { subject: "student", NFE: 1, distance: 1.5, precision: 1, obeyed: 0.8867 },
    { subject: "teacher", NFE: 10, distance: 1.25, precision: 0.5, obeyed: 0.9414 },
  ];
  const drawn = (room: number) => {
    const { report, take } = faked("lines", { room });
    report({ type: "table", stage: "evaluate", rows });
    return take().out;
  };
  assert.is(
    drawn(36),
    "evaluate\n" +
      "  subject  NFE  distance  precision\n  student    1       1.5          1\n  teacher   10      1.25        0.5\n\n" +
      "  subject  obeyed\n  student  0.8867\n  teacher  0.9414\n",
  );
  assert.is(drawn(10).split("\n\n").length, 4, "one column beside the names where no two have room");
  assert.is(drawn(80).split("\n").length, 5);
});

test("a value that is longer than a line goes on under where it began", () => {
  const { report, take } = faked("lines", { room: 24 });
  report({ type: "result", stage: "student", values: { rows: 3, metrics: "step 450  loss 0.1513  norm 0.1843" } });
  assert.is(take().out, "student\n  rows     3\n  metrics  step 450 loss\n           0.1513 norm\n           0.1843\n");
});

test("a narrow terminal loses blocks of the bar before it loses the time left", () => {
  const drawn = [120, 80, 70, 58].map((columns) => {
    const { report, pass, take, close } = faked("bars", { columns });
    report(step(0, {}, 1536));
    pass(30_000);
    report(step(768, { loss: 0.2708 }, 1536));
    close();
    return take().err.split("\n").at(-2) as string;
  });
  assert.equal(
    drawn.map((row) => row.replaceAll(/[^█░]/g, "").length),
    [20, 20, 10, 0],
  );
  for (const row of drawn) assert.match(row, /768\/1536 steps {2}50% {2}loss 0.2708 {2}30 s left$/);
});

test("prints a table under its names: words to the left, numbers to the right", () => {
  const rows = [
    { "ms a step": 12.3456, calls: 4, spread: "12.3 ± 0.4", op: "Conv", shapes: "[1,2] -> [1]" },
    { "ms a step": 0.5, calls: 12, spread: "", op: "LayerNormalization", shapes: "" },
  ];
  const { report, take } = faked("quiet");
  report({ type: "table", stage: "hottest nodes", rows, about: "of 5 runs" });
  const expected = [
    "hottest nodes",
    "  ms a step  calls      spread  op                  shapes",
    "      12.35      4  12.3 ± 0.4  Conv                [1,2] -> [1]",
    "        0.5     12              LayerNormalization",
    "  of 5 runs",
  ];
  assert.equal(take(), { out: `${expected.join("\n")}\n`, err: "" });
  report({ type: "table", stage: "nothing", rows: [] });
  assert.is(take().out, "nothing\n");
  const json = faked("json");
  json.report({ type: "table", stage: "hottest nodes", rows });
  assert.equal(JSON.parse(json.take().out), { type: "table", stage: "hottest nodes", rows });
});

test("uses colour only when asked", () => {
  const plain = faked("bars");
  plain.report(step(1));
  plain.report({ type: "warning", stage: "ingest", message: "odd" });
  assert.not(/\u001b\[\d+m/.test(plain.take().err));
  const coloured = faked("bars", { colour: true });
  coloured.report({ type: "warning", stage: "ingest", message: "odd" });
  assert.is(coloured.take().err, "\u001b[33mwarning:\u001b[0m ingest: odd\n");
});

const mixed: PipelineEvent[] = [
  step(1, { loss: Number.NaN }),
  { type: "note", stage: "run", message: "line\u2028two" },
  { type: "warning", stage: "run", message: "odd" },
  { type: "result", stage: "evaluate", values: { "frechet distance": 12.345678, samples: 2048, reference: "abc" } },
];

test("writes events as JSON, one a line, on stdout alone", () => {
  const { report, take } = faked("json");
  for (const event of mixed) report(event);
  const { out, err } = take();
  assert.is(err, "");
  const events = out
    .trimEnd()
    .split("\n")
    .map((text) => JSON.parse(text));
  assert.equal(events, JSON.parse(JSON.stringify(mixed)));
});

test("when quiet, prints results and warnings only", () => {
  const { report, take } = faked("quiet");
  for (const event of mixed) report(event);
  assert.equal(take(), {
    out: "evaluate\n  frechet distance  12.35\n  samples           2048\n  reference         abc\n",
    err: "warning: run: odd\n",
  });
});

test("writes numbers for people", () => {
  assert.equal([0.000123456, 1234.5678, 8, -0.5, Number.NaN].map(numberInWords), ["0.0001235", "1235", "8", "-0.5", "NaN"]);
  assert.equal([0, 0.4, 59.6, 545, 12_000].map(durationInWords), ["0 s", "under 1 s", "1 m 00 s", "9 m 05 s", "3 h 20 m"]);
  assert.equal([0, 999, 1000, 1.25e9, 999.6e6, 314e9].map(bytesInWords), ["0 B", "999 B", "1.0 kB", "1.3 GB", "1.0 GB", "314 GB"]);
});

test("leaves single figures to --json: people read the table of all", () => {
  const values = { subject: "student, 1 NFE", measure: "recall (k=3)", value: 0.5, samples: "80 against 80", resize: "none" };
  for (const mode of ["bars", "lines", "quiet"] as const) {
    const { report, take } = faked(mode);
    report({ type: "figure", stage: "evaluate", values });
    assert.equal(take(), { out: "", err: "" });
  }
  const { report, take } = faked("json");
  report({ type: "figure", stage: "evaluate", values });
  assert.equal(JSON.parse(take().out), { type: "figure", stage: "evaluate", values });
});

test("a stage that ends stands above one that goes on, whichever began first", () => {
  const { report, pass, take } = faked("bars");
  report(step(10));
  pass(100);
  report({ type: "progress", stage: "ingest", done: 5, total: 5, unit: "images" });
  pass(100);
  report(step(20));
  const screen: string[] = []; // what a terminal shows: a move up and an erasure take the last lines away
  for (const part of take().err.split(/(\u001b\[\d+A\u001b\[J)/)) {
    const up = /^\u001b\[(\d+)A/.exec(part);
    if (up) screen.splice(-Number(up[1]));
    else screen.push(...part.split("\n").slice(0, -1));
  }
  assert.equal(
    screen.map((line) => line.split(" ")[0]),
    ["ingest", "train"],
  );
});

test("bars leave details out, which logs and --json keep", () => {
  const event = { type: "note", stage: "train", message: "goes on with 2 threads", isDetail: true } as const;
  const told = (["bars", "lines", "json"] as const).map((mode) => {
    const { report, take } = faked(mode);
    report(event);
    return take().out;
  });
  assert.equal(told, ["", "train: goes on with 2 threads\n", `${JSON.stringify(event)}\n`]);
});

test.run();
