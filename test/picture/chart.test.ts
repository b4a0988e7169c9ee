import * as charts from "../../stages/picture/chart.ts";
import { axisOf } from "../../stages/picture/ticks.ts";
import { sharp } from "../../schemas/sharp.ts";
import { assert, suite } from "../harness.ts";

const test = suite("charts");
const lineChart = (options: Parameters<typeof charts.lineChart>[0]): string => String(charts.lineChart(options));
const barChart = (options: Parameters<typeof charts.barChart>[0]): string => String(charts.barChart(options));

test("ticks are round values within the axis", () => {
  assert.equal(axisOf([0, 10], { tight: true }).ticks, [0, 2, 4, 6, 8, 10]);
  assert.equal(axisOf([3, 97], { tight: true }).ticks, [0, 20, 40, 60, 80]);
  assert.equal(axisOf([95, 99], { tight: true }).ticks, [95, 96, 97, 98, 99]);
  assert.equal(axisOf([-0.001, 0.001], { tight: true }).ticks, [-0.001, -0.0005, 0, 0.0005, 0.001]);
  assert.equal(axisOf([1, 1000], { log: true, tight: true }).ticks, [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]);
  assert.equal(axisOf([1e-6, 1e6], { log: true, tight: true }).ticks, [1e-6, 1e-4, 1e-2, 1, 100, 1e4, 1e6]);
  assert.equal(axisOf([8, 12], { log: true, tight: true }).ticks, [8, 9, 10, 11, 12]);
});

test("places values in proportion, logarithmically where asked, and one value alone somewhere", () => {
  assert.is(axisOf([100, 300], { fromZero: true, tight: true }).at(150), 0.5);
  assert.ok(Math.abs(axisOf([1, 100], { log: true, tight: true }).at(10) - 0.5) < 1e-12);
  for (const value of [0, 7, -3]) {
    const place = axisOf([value]).at(value);
    assert.ok(place >= 0 && place <= 1, `${value} at ${place}`);
  }
});

test("draws every point where it belongs", () => {
  const svg = lineChart({
    title: "t",
    x: { label: "x" },
    y: { label: "y" },
    series: [
      {
        name: "s",
        points: [
          { x: 0, y: 0 },
          { x: 5, y: 5 },
          { x: 10, y: 10 },
        ],
      },
    ],
  });
  const [line] = /points="([^"]+)" fill="none"/.exec(svg)!.slice(1);
  const points = line!.split(" ").map((point) => point.split(",").map(Number) as [number, number]);
  assert.is(points.length, 3);
  assert.ok(Math.abs(points[1]![0] - (points[0]![0] + points[2]![0]) / 2) <= 0.1);
  assert.ok(Math.abs(points[1]![1] - (points[0]![1] + points[2]![1]) / 2) <= 0.1);
  assert.ok(points[2]![1] < points[0]![1], "up is more");
});

test("is one valid SVG whatever it is given, which draws at its size", async () => {
  const awkward = {
    name: '<b> & "c"',
    points: [
      { x: 1, y: Number.NaN },
      { x: 2, y: -1 },
      { x: 3, y: 4, low: -2, high: 9 },
    ],
  };
  const drawn = [
    lineChart({ title: "<x> & y", x: { label: "<" }, y: { label: "&" }, series: [awkward, awkward] }),
    lineChart({
      title: "log",
      x: { label: "x", log: true },
      y: { label: "y", log: true },
      series: [awkward],
      lines: [{ name: "<l>", y: 0 }],
    }),
    lineChart({ title: "empty", x: { label: "x" }, y: { label: "y" }, series: [] }),
    barChart({
      title: "bars",
      y: { label: "<y>" },
      bars: [
        { name: "a <b> name of many words that goes on", y: -3 },
        { name: "c", y: 4, low: 3, high: 5 },
      ],
    }),
    barChart({ title: "no bars", y: { label: "y", log: true }, bars: [] }),
  ];
  for (const svg of drawn) {
    assert.not.match(svg, /NaN|Infinity|undefined/);
    const { width, height } = await sharp(Buffer.from(svg)).metadata();
    assert.equal([width, height], [720, 420]);
  }
  assert.match(drawn[2]!, /no values yet/);
  assert.not.match(drawn[1]!, /&lt;l&gt;/, "a line at zero is none on a logarithmic axis");
});

test("shows few points with error bars, and many as a line in a band", () => {
  const series = (count: number) => [{ name: "s", points: Array.from({ length: count }, (_, x) => ({ x, y: 5, low: 4, high: 6 })) }];
  const words = { title: "t", x: { label: "x" }, y: { label: "y" } };
  const [few, many] = [lineChart({ ...words, series: series(5) }), lineChart({ ...words, series: series(500) })];
  assert.is(few.split("<circle").length - 1, 5);
  assert.not.match(few, /<polygon/);
  assert.not.match(many, /<circle/);
  assert.match(many, /<polygon/);
});

test("tells nine series apart, and labels the values that were asked for where the axis reaches them", () => {
  const points = [1, 4].map((x) => ({ x, y: x }));
  const svg = lineChart({
    title: "t",
    x: { label: "x", log: true, ticks: [1, 2, 4, 8] },
    y: { label: "y" },
    series: Array.from({ length: 9 }, (_, i) => ({ name: `s${i}`, points })),
  });
  const strokes = svg.match(/<polyline[^>]*>/g)!.map((line) => line.replace(/points="[^"]*"/, ""));
  assert.is(new Set(strokes).size, 9);
  const labels = [...svg.matchAll(/y="384"[^>]*>([^<]*)</g)].map(([, label]) => label);
  assert.equal(labels, ["1", "2", "4"]);
});

test("a long title ends before the edge, and long names of bars keep apart", async () => {
  const names = ["multi-scale", "mix-and-match", "teacher-initialised", "real-images", "noised", "features", "both", "(teacher)"];
  const svg = barChart({
    title: "m".repeat(20) + " word of this title".repeat(4),
    y: { label: "y" },
    bars: names.map((name) => ({ name, y: 1 })),
  });
  const { data, info } = await sharp(Buffer.from(svg)).ensureAlpha().raw().toBuffer({ resolveWithObject: true });
  const inked = (x: number, [from, to]: [number, number]) =>
    Array.from({ length: to - from }, (_, i) => data[((from + i) * info.width + x) * 4 + 3]!).some((alpha) => alpha > 0);
  for (let x = 704; x < info.width; x++) assert.not.ok(inked(x, [0, 40]), `the title's ink at ${x}`);
  // Between the middles of two neighbouring names some column is free of ink.
  const step = (700 - 72) / names.length;
  for (let i = 1; i < names.length; i++) {
    const middle = Math.round(72 + i * step);
    const free = Array.from({ length: Math.floor(step / 2) }, (_, k) => middle - Math.floor(step / 4) + k).some(
      (x) => !inked(x, [370, 420]),
    );
    assert.ok(free, `${names[i - 1]} touches ${names[i]}`);
  }
});

test("legible on light and dark: every colour has a contrast of 3 to 1 with white and with GitHub's dark page", () => {
  const svg = lineChart({
    title: "t",
    x: { label: "x" },
    y: { label: "y" },
    series: Array.from({ length: 8 }, (_, i) => ({ name: `s${i}`, points: [{ x: 0, y: i }] })),
  });
  const colours = new Set(svg.match(/#[0-9a-f]{6}/g));
  assert.is(colours.size, 9);
  for (const colour of colours) {
    for (const ground of ["#ffffff", "#0d1117"])
      assert.ok(contrast(colour, ground) >= 3, `${colour} on ${ground}: ${contrast(colour, ground)}`);
  }
});

/** WCAG 2.1. */
function contrast(a: string, b: string): number {
  const luminance = (colour: string): number => {
    const [red, green, blue] = [1, 3, 5].map((at) => {
      const value = Number.parseInt(colour.slice(at, at + 2), 16) / 255;
      return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    }) as [number, number, number];
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y) as [number, number];
  return (high + 0.05) / (low + 0.05);
}

test.run();
