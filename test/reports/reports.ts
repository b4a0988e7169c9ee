/** Situations from public bug reports: what is right stands in the data's reports/README.md. */
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import type { Case } from "./case.ts";
import { difference, picturesOf, quadrants, type StoredPicture } from "./latents.ts";
import { faultsOf, type Trial, undone, unrefused } from "./trial.ts";

/** Bytes that the demo may take, which trains at 64 px. */
const LARGE = 3 * 2 ** 30;

export const reports: Case[] = [
  ingested("captions-metadata-csv", ({ pictures }) => expectCaptions(pictures, 3)),
  ingested("captions-unquoted-commas", ({ pictures, told }) => [
    ...pictures.filter(({ caption }) => caption === "1girl").map(({ name }) => `${name}: the caption is cut`),
    ...(pictures.every(({ caption }) => caption) || /fields/.test(told) ? [] : ["a row is passed over without a word"]),
  ]),
  ingested("captions-windows-1252", ({ pictures, told }) => [
    ...pictures.filter(({ caption }) => caption?.includes("\ufffd")).map(({ name }) => `${name}: U+FFFD`),
    ...(pictures.every(({ caption }) => caption) || /UTF-8/.test(told) ? [] : ["a caption is lost without a word"]),
  ]),
  ingested("names-decomposed", ({ pictures }) => expectCaptions(pictures, 4)),
  ingested("litter-notebook-checkpoints", expectTwoClasses),
  ingested("litter-notebook-checkpoints-inside", expectTwoClasses),
  ingested("labels-dataset-json", ({ pictures, told }) => {
    const labels = pictures.map(({ label }) => label).join();
    return labels === "1,0,1,0" || /dataset\.json/.test(told) ? [] : [`labels ${labels} in place of 1,0,1,0`];
  }),
  ingested("labels-url-download-shards", ({ pictures }) => [
    ...expectCaptions(pictures, 4),
    ...(pictures.some(({ label }) => label !== undefined) ? ["shards became classes"] : []),
  ]),
  ingested("zip-backslashes", ({ pictures }) => (pictures.length > 0 ? [] : ["nothing was read"])),
  ingested("tiff-float-grey", ({ pictures, told, expected }) =>
    /float/.test(told) && pictures.length === 1 ? [] : coloured(pictures, expected),
  ),
  ingested("png-16-bit-with-profile", ({ pictures, expected }) => coloured(pictures, expected)),
  ingested("grey-alpha-on-colour", ({ pictures, expected }) => coloured(pictures, expected), ["--set", "images.background=#ff8000"]),
  ingested("one-picture-three-formats", ({ pictures }) => {
    const png = pictures.find(({ name }) => name.endsWith(".png"))!;
    const most: Record<string, number> = { png: 0, webp: 0.01, jpg: 1, jpeg: 1 };
    return pictures.flatMap((picture) => {
      const off = difference(picture, png);
      return off <= most[picture.name.split(".").at(-1)!]! ? [] : [`${picture.name} differs from the PNG by ${off.toFixed(2)} of 255`];
    });
  }),
  {
    name: "captions-long",
    attempt: async (t) => {
      const faults = undone(await t.p(["ingest", t.data("reports/captions-long.zip"), "--out", "l"]));
      const trained = await t.p(["pretrain", "teacher", "--data", "l", "--out", "m", "--set", "network.condition=caption"]);
      return [...faults, ...undone(trained), ...(/captionTokens/.test(trained.err) ? [] : ["no word of captions that became equal"])];
    },
  },
  { name: "classes-cat-dog-owl, reference-dog-owl", attempt: classesByName },
  {
    name: "output-inside-input",
    on: "pictures",
    attempt: async (t) => {
      const args = ["ingest", ".", "--out", "latents"];
      return [...undone(await t.p(args)), ...undone(await t.p(args))];
    },
  },
  { name: "out-is-in-the-way", on: "small", attempt: outputsInTheWay },
  {
    name: "size-does-not-divide",
    on: "small",
    attempt: async (t) => {
      const none = ["--set", "network.condition=none"];
      const pretrain = (...more: string[]) => t.p(["pretrain", "teacher", "--data", "latents", "--out", "x", ...none, ...more]);
      const odd = await t.p(["ingest", "pics", "--out", "odd", "--set", "images.size=30"]);
      return [
        ...undone(odd),
        ...unrefused(await t.p(["pretrain", "teacher", "--data", "odd", "--out", "y", ...none, "--set", "images.size=30"]), /patch/),
        ...unrefused(await pretrain("--set", "network.heads=3"), /heads/),
        ...unrefused(await pretrain("--set", "pretrain.teacher.accumulate=3"), /accumulate/),
        ...unrefused(await t.p(["run", "pics", "--out", "r", ...none, "--set", "images.size=30"]), /patch/),
      ];
    },
  },
  {
    name: "autoencoder-batch",
    on: "small",
    attempt: async (t) => {
      const pretrain = ["pretrain", "autoencoder", "--data", "latents", "--out"];
      return [
        ...undone(await t.p([...pretrain, "ae"])),
        ...undone(await t.p([...pretrain, "ae3", "--set", "pretrain.autoencoder.batch=3"])),
      ];
    },
  },
  {
    name: "bare-run-smoke",
    attempt: async (t) => {
      const outcome = await t.p(["run", "--out", "r"], { patience: 300, most: LARGE });
      return outcome.code === 0 ? undone(outcome, LARGE) : unrefused(outcome, /images\.size/);
    },
  },
  {
    name: "two-trainings",
    on: "small",
    attempt: async (t) => {
      const args = ["train", "--store", "triples", "--teacher", "teacher", "--out", "student", "--set", "train.steps=60"];
      const first = t.p(args);
      await setTimeout(3000);
      const outcomes = [await t.p(args), await first];
      const refused = outcomes.filter(({ code }) => code !== 0);
      return [
        ...outcomes.flatMap((outcome) => faultsOf(outcome)),
        ...(refused.length === 1 ? unrefused(refused[0]!, /train/) : [`${refused.length} were refused`]),
      ];
    },
  },
  {
    name: "store-on-a-mac-disk",
    on: "small",
    attempt: async (t) => {
      cpSync(join(t.folder, "triples"), join(t.folder, "mac"), { recursive: true });
      for (const litter of ["._000000.parquet", ".DS_Store"]) writeFileSync(join(t.folder, "mac/shards", litter), "\0\x05\x16\x07");
      return [...undone(await t.p(["verify", "mac"])), ...undone(await t.p(["inspect", "mac"]))];
    },
  },
  {
    name: "seed-over-2^53",
    on: "small",
    attempt: async (t) => [
      ...unrefused(await t.p(["sample", "--model", "teacher", "--out", "a.png", "--seed", "9007199254740993"]), /9007199254740993/),
      ...unrefused(
        await t.p(["evaluate", "--model", "teacher", "--reference", "latents", "--seeds", "3", "--seed", "9007199254740991"]),
        /9007199254740991/,
      ),
    ],
  },
  {
    name: "train-for-longer",
    on: "small",
    attempt: async (t) => {
      const args = ["train", "--store", "triples", "--teacher", "teacher", "--out", "longer"];
      const first = await t.p(args);
      const longer = await t.p([...args, "--steps", "16"]);
      const advice = /remove the folder/.test(longer.err) ? ["it advises to remove a finished run"] : [];
      return [...undone(first), ...unrefused(longer, /steps/), ...unrefused(longer, /train\.from/), ...advice];
    },
  },
];

/** What an ingested input left: the store's pictures, the words on the terminal, and the colours that another decoder found. */
interface Seen {
  pictures: StoredPicture[];
  told: string;
  expected: Record<string, number[][]>;
}

/** A case that ingests reports/NAME.zip and looks at what is in the store and what was told. */
function ingested(name: string, look: (seen: Seen) => string[], more: string[] = []): Case {
  return {
    name,
    attempt: async (t) => {
      const outcome = await t.p(["ingest", t.data(`reports/${name}.zip`), "--out", "latents", ...more]);
      if (outcome.code !== 0) return undone(outcome);
      const inspected = await t.p(["inspect", "latents"]);
      const expected = JSON.parse(readFileSync(t.data("reports/expected.json"), "utf8"))[name]?.quadrants ?? {};
      const told = outcome.err + outcome.out + inspected.out;
      return [...undone(outcome), ...look({ pictures: await picturesOf(join(t.folder, "latents")), told, expected })];
    },
  };
}

function expectCaptions(pictures: StoredPicture[], count: number): string[] {
  const found = pictures.filter(({ caption }) => caption).length;
  return found === count ? [] : [`${found} captions in place of ${count}`];
}

function expectTwoClasses({ pictures }: Seen): string[] {
  const classes = new Set(pictures.map(({ label }) => label));
  return [
    ...(classes.size === 2 && !classes.has(undefined) ? [] : [`classes ${[...classes].join(", ")}`]),
    ...pictures.filter(({ name }) => name.includes(".ipynb_checkpoints")).map(({ name }) => `${name} is in the store`),
  ];
}

/** The four quadrants, against what an independent decoder found. */
function coloured(pictures: StoredPicture[], expected: Record<string, number[][]>): string[] {
  return Object.entries(expected).flatMap(([name, colours]) => {
    const picture = pictures.find((candidate) => candidate.name.endsWith(name));
    if (!picture) return [`${name} is not in the store`];
    const off = Math.max(...quadrants(picture).flatMap((colour, i) => colour.map((value, c) => Math.abs(value - colours[i]![c]!))));
    return off <= 2.5 ? [] : [`${name} is up to ${off.toFixed(0)} of 255 off`];
  });
}

/** A reference that lacks the teacher's first class: its labels are matched by name, or it is refused. */
async function classesByName(t: Trial): Promise<string[]> {
  const group = "pretrain.teacher";
  const settings = ["network.width=32", `${group}.steps=900`, `${group}.batch=32`, `${group}.learningRate=3e-3`, `${group}.ema=0.98`];
  const sets = settings.flatMap((assignment) => ["--set", assignment]);
  const faults = [
    ...undone(await t.p(["ingest", t.data("reports/classes-cat-dog-owl.zip"), "--out", "l"])),
    ...undone(await t.p(["pretrain", "teacher", "--data", "l", "--out", "m", ...sets], { patience: 400 })),
  ];
  const reference = t.data("reports/reference-dog-owl.zip");
  const sampling = ["--count", "160", "--set", "simulate.steps=8", "--set", "evaluate.speed=false", "--set", "evaluate.features=builtin"];
  const outcome = await t.p(["evaluate", "--model", "m", "--reference", reference, ...sampling, "--out", "e.json"], { patience: 200 });
  if (outcome.code !== 0) return [...faults, ...unrefused(outcome, /class/)];
  const { subjects } = JSON.parse(readFileSync(join(t.folder, "e.json"), "utf8"));
  const distance = subjects.find(({ role }: { role: string }) => role === "teacher").figures.frechetDistance.mean as number;
  return [...faults, ...undone(outcome), ...(distance < 15 ? [] : [`a distance of ${distance}, 8.3 is right`])];
}

/** Files where folders are to be written, folders where files are, and names that no file system takes. */
async function outputsInTheWay(t: Trial): Promise<string[]> {
  mkdirSync(join(t.folder, "folder"));
  writeFileSync(join(t.folder, "file"), "mine");
  const long = "n".repeat(300);
  const train = ["train", "--store", "triples", "--teacher", "teacher"];
  const evaluate = ["evaluate", "--model", "teacher", "--reference", "latents"];
  const commands = [
    ["sample", "--model", "teacher", "--out", "folder"],
    ["sample", "--model", "teacher", "--out", "grid.jpg"],
    ["sample", "--model", "teacher", "--out", "file/grid.png"],
    ["inspect", "triples", "--grid", "folder"],
    ["inspect", "triples", "--grid", "grid.jpg"],
    ["inspect", "triples", "--html", "folder"],
    ["inspect", "file"],
    [...evaluate, "--out", "folder"],
    ...["file", "file/x", long].flatMap((out) => [
      ["ingest", "pics", "--out", out],
      [...train, "--out", out],
      ["simulate", "--teacher", "teacher", "--out", out],
      ["run", "pics", "--out", out],
      ["export", "triples", "--out", out],
    ]),
  ];
  const faults: string[] = [];
  for (const command of commands) {
    const place = command.join(" ").replace(long, "(300 letters)");
    for (const fault of unrefused(await t.p(command))) faults.push(`${place}: ${fault}`);
  }
  if (readFileSync(join(t.folder, "file"), "utf8") !== "mine") faults.push("a file in the way was overwritten");
  return faults;
}
