import * as bars from "../../stages/picture/bars.ts";
import * as charts from "../../stages/picture/chart.ts";
import { axisOf } from "../../stages/picture/ticks.ts";
import { sharp } from "../../schemas/sharp.ts";
import { assert, suite } from "../harness.ts";

const test = suite("charts");
const lineChart = (options: Parameters<typeof charts.lineChart>[0]): string => String(charts.lineChart(options));
const barChart = (options: Parameters<typeof bars.barChart>[0]): string => String(bars.barChart(options));

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
  const marks = svg.match(/<(circle|path)[^>]*fill="#[^>]*>/g)!.map((mark) => mark.replace(/c[xy]="[^"]*"|transform="[^"]*"/g, ""));
  assert.is(new Set(marks).size, 9, "by their points too, where a series has one alone");
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

/** Ink of a chart's parts that `keep` leaves, by pixel. */
async function inkOf(svg: string, keep: (part: string) => boolean): Promise<boolean[]> {
  const [, open = "", body = ""] = /^(<svg[^>]*>)([\s\S]*)<\/svg>/.exec(svg) ?? [];
  const parts = body.match(/<(text|line|polyline|polygon|circle|rect|path)\b[^>]*?(?:\/>|>[\s\S]*?<\/\1>)/g) ?? [];
  const { data } = await sharp(Buffer.from(`${open}${parts.filter(keep).join("")}</svg>`))
    .ensureAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true });
  return Array.from({ length: data.length / 4 }, (_, i) => data[4 * i + 3]! > 40);
}

const falling = (end: number) => [1, 2, 4, 8].map((x, i) => ({ x, y: end + (8 - end) * 0.4 ** i * (i === 3 ? 0 : 1) }));
const drawnLabels = {
  "a series that falls to the line": { series: [{ name: "s", points: falling(0.9) }], lines: [{ name: "the teacher", y: 0.85 }] },
  "lines close to each other": {
    series: [{ name: "s", points: falling(1.4) }],
    lines: [
      { name: "the teacher", y: 1.2 },
      { name: "the floor", y: 1.18 },
      { name: "the best", y: 1.22 },
    ],
  },
  "error bars on the line": {
    series: [0, 1, 2].map((k) => ({ name: `s${k}`, points: [1, 3, 5, 8].map((x) => ({ x: x + k / 4, y: 2, low: 1.2, high: 3 })) })),
    lines: [{ name: "a line in the midst of it all", y: 2.1 }],
  },
  "a line that swings over all": {
    series: [{ name: "s", points: Array.from({ length: 200 }, (_, x) => ({ x: x + 1, y: x % 2 === 0 ? 0.5 : 9 })) }],
    lines: [{ name: "nowhere to stand", y: 3 }],
  },
} as const;

for (const [what, { series, lines }] of Object.entries(drawnLabels)) {
  test(`names of compared lines touch nothing: ${what}`, async () => {
    const svg = lineChart({ title: "t", x: { label: "x", log: true }, y: { label: "y", log: true }, series, lines });
    const isLabel = (part: string) => lines.some(({ name }) => part.includes(`>${name}: `));
    assert.is(svg.match(/<text[^>]*>[^<]*: [\d.]+<\/text>/g)?.length, lines.length, "every line has its name");
    const drawn = await inkOf(svg, (part) => !part.startsWith("<text") && !part.includes("stroke-opacity"));
    for (const line of lines) {
      const others = await inkOf(svg, (part) => isLabel(part) && !part.includes(`>${line.name}: `));
      const own = await inkOf(svg, (part) => part.includes(`>${line.name}: `));
      assert.ok(own.includes(true));
      assert.is(own.filter((ink, i) => ink && (drawn[i] || others[i])).length, 0, line.name);
    }
  });
}

test("error bars at one place stand beside each other, and one alone through its point", () => {
  const point = { x: 1, y: 2, low: 1, high: 3 };
  const chart = (count: number) =>
    lineChart({
      title: "t",
      x: { label: "x" },
      y: { label: "y" },
      series: Array.from({ length: count }, (_, i) => ({ name: `s${i}`, points: [{ ...point }, { x: 2 + i, y: 2 }] })),
    });
  const places = (svg: string) => [...svg.matchAll(/d="M([\d.]+) [\d.]+V/g)].map(([, x]) => Number(x));
  assert.equal(places(chart(1)), [Number(/<circle cx="([\d.]+)"/.exec(chart(1))![1])]);
  assert.is(new Set(places(chart(3))).size, 3);
});

test("values of bars keep apart where there are many, and one below zero stands under its bar", () => {
  const many = barChart({
    title: "t",
    y: { label: "y" },
    bars: Array.from({ length: 24 }, (_, i) => ({ name: `b${i}`, y: 0.9393 + i / 1e4 })),
  });
  const values = [...many.matchAll(/<text x="([\d.]+)"[^>]*font-size="([\d.]+)" font-weight="600">([^<]*)<\/text>/g)].slice(1);
  assert.is(values.length, 24);
  const [, x, size, words] = values[0]!;
  assert.ok(Number(values[1]![1]) - Number(x) > Number(size) * 0.6 * words!.length);
  const below = barChart({
    title: "t",
    y: { label: "y" },
    bars: [
      { name: "a", y: -3 },
      { name: "b", y: 2 },
    ],
  });
  const [, top, tall] = /<rect [^>]*y="([\d.]+)" height="([\d.]+)"/.exec(below)!;
  assert.ok(Number(/y="([\d.]+)"[^>]*>\u22123<\/text>/.exec(below.slice(below.indexOf("<g>")))![1]) > Number(top) + Number(tall));
});

test("a long title is two lines, and what is under it moves down", () => {
  const chart = (title: string) =>
    lineChart({
      title,
      x: { label: "x" },
      y: { label: "y" },
      series: [
        { name: "a", points: [] },
        { name: "b", points: [] },
      ],
    });
  const long = chart("every method by its recipe, with the same teacher, images seen, seeds and measure");
  const names = (svg: string) => Number(/y="(\d+)">a<\/text>/.exec(svg)![1]);
  assert.is(long.match(/font-weight="600"/g)!.length, 2);
  assert.is(names(long) - names(chart("short")), 18);
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
