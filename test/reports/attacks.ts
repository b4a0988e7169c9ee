/** Inputs that somebody made to break a guarantee, and accidents: what is right stands in the data's attacks/README.md. */
import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readLatestCheckpoint, writeCheckpoint } from "../../stages/train/checkpoint.ts";
import { statisticsOf } from "../../store/records/statistics.ts";
import { openStore, readShard } from "../../store/shards/store.ts";
import { createLatentStore, openLatentStore } from "../../store/rows/latents.ts";
import { writeShard } from "../../store/shards/store.ts";
import type { Case } from "./case.ts";
import { picturesOf } from "./latents.ts";
import { faultsOf, type Outcome, type Trial, undone, unrefused } from "./trial.ts";

export const attacks: Case[] = [
  { name: "stores/good", attempt: (t) => store(t, "good", { verify: undone, inspect: undone, html: undone, train: undone }) },
  {
    name: "stores/xss-quarantine-id",
    attempt: (t) => store(t, "xss-quarantine-id", { verify: faultsOf, inspect: faultsOf, html: harmless(t) }),
  },
  ...["ids-outside-shard", "rows-missing", "row-count-2e9", "entries-2e53", "sums-missing", "failed-not-a-list"].map((name) => ({
    name: `stores/${name}`,
    attempt: (t: Trial) => store(t, name, { verify: unrefused, inspect: faultsOf, html: faultsOf, train: unrefused }),
  })),
  { name: "stores/first-shard-all-failed", attempt: (t) => store(t, "first-shard-all-failed", { verify: faultsOf, train: faultsOf }) },
  {
    name: "stores/reason-with-line-separator",
    attempt: async (t) => {
      const kept = copied(t, "stores/reason-with-line-separator");
      await t.p(["verify", kept, "--repair"]);
      return undone(await t.p(["verify", kept]));
    },
  },
  ...["statistics-changed", "sigmaData-changed"].map((name) => ({
    name: `models/${name}`,
    attempt: async (t: Trial) => {
      const [model, triples] = [otherDescription(t, name), copied(t, "stores/good")];
      const sampled = await t.p(["sample", "--model", model, "--count", "4", "--out", "a.png"]);
      const silent = sampled.code === 0 && !/model\.json/.test(sampled.err) ? ["it samples without a word"] : [];
      return [
        ...faultsOf(sampled),
        ...silent,
        ...unrefused(await t.p(["train", "--store", triples, "--teacher", model, "--out", "s"]), /model\.json|teacher/),
      ];
    },
  })),
  ...Object.entries({ "depth-1e9": /depth|tensor/, "heads-3": /heads/, "hash-pixel": /hash/ }).map(([name, words]) => ({
    name: `models/${name}`,
    attempt: async (t: Trial) => {
      const outcome = await t.p(["sample", "--model", otherDescription(t, name), "--count", "4", "--out", "a.png"]);
      return [...unrefused(outcome, words), ...unrefused(outcome, /model\.json|weights\.safetensors/)];
    },
  })),
  { name: "a sealed description, edited", on: "small", attempt: editedDescriptions },
  {
    name: "models/nan-teacher",
    attempt: async (t) => {
      const model = copied(t, "models/nan-teacher");
      return [
        ...unrefused(await t.p(["sample", "--model", model, "--count", "4", "--out", "a.png"]), /finite|NaN/),
        ...unrefused(await t.p(["simulate", "--teacher", model, "--out", "x", "--count", "100000"]), /finite|NaN/),
      ];
    },
  },
  { name: "files/terminal-escapes.zip", attempt: terminalEscapes },
  {
    name: "files/caption-row-storm-jsonl.zip",
    attempt: async (t) => faultsOf(await t.p(["ingest", t.data("attacks/files/caption-row-storm-jsonl.zip"), "--out", "l"])),
  },
  {
    name: "files/captions-of-absent-images.zip",
    attempt: async (t) => undone(await t.p(["ingest", t.data("attacks/files/captions-of-absent-images.zip"), "--out", "l"])),
  },
  {
    name: "files/caption-of-3999-a.zip",
    attempt: async (t) => [
      ...undone(await t.p(["ingest", t.data("attacks/files/caption-of-3999-a.zip"), "--out", "l"])),
      ...undone(await t.p(["inspect", "l", "--rows", "1", "--where", "caption like '%a%a%a%b'"])),
    ],
  },
  {
    name: "files/non-utf8-name.tar",
    attempt: async (t) => {
      execFileSync("tar", ["-xf", t.data("attacks/files/non-utf8-name.tar"), "-C", t.folder]);
      const outcome = await t.p(["ingest", "pics", "--out", "l"]);
      const kept = outcome.code === 0 ? (await picturesOf(join(t.folder, "l"))).length : 0;
      return [...undone(outcome), ...(kept === 1 ? [] : [`${kept} pictures in place of 1`])];
    },
  },
  {
    name: "files/taesd-nan",
    on: "pictures",
    attempt: async (t) => {
      const outcome = await t.p(["ingest", "pics", "--out", "l", ...taesd(t, "taesd-nan")]);
      return [...undone(await t.p(["ingest", "pics", "--out", "good", ...taesd(t, "taesd-good")])), ...unrefused(outcome, /finite|NaN/)];
    },
  },
  ...Object.entries({
    "refused-train": /unchanged: good/,
    "two-trains": /step 40: 1 \(1 is right\)/,
    "cache-full": /errno 30 on the cache: exit 0/,
    "cache-of-another-program": /same picture: good/,
    "io-errors": /train, write run\.html 5: exit 0/,
  }).map(([name, right]) => ({ name: `scripts/${name}`, attempt: (t: Trial) => script(t, name, right) })),
  { name: "a checkpoint of more than 2 GiB", attempt: largeCheckpoint },
  {
    name: "statistics of a million shards",
    attempt: async () => {
      const part = { count: [8], sum: [1], squares: [2], min: [-1], max: [1], nonFinite: 0 };
      const { max } = statisticsOf(
        Array.from({ length: 1_000_000 }, () => part),
        1,
      );
      return max[0] === 1 ? [] : [`the largest value is ${max[0]}`];
    },
  },
  { name: "following 4,000 shards", on: "small", attempt: following },
];

type Judge = (outcome: Outcome) => string[];

/** Runs the commands that have a judge on a copy of a store, and answers what the judges say. */
async function store(t: Trial, name: string, judges: { verify: Judge; inspect?: Judge; html?: Judge; train?: Judge }): Promise<string[]> {
  const [folder, teacher] = [copied(t, `stores/${name}`), t.data("attacks/models/teacher")];
  const lines: Record<keyof typeof judges, string[]> = {
    verify: ["verify", folder],
    inspect: ["inspect", folder],
    html: ["inspect", folder, "--html", "report.html"],
    train: ["train", "--store", folder, "--teacher", teacher, "--out", "student"],
  };
  const faults: string[] = [];
  for (const [command, judge] of Object.entries(judges) as [keyof typeof judges, Judge][]) {
    for (const fault of judge(await t.p(lines[command]))) faults.push(`${command}: ${fault}`);
  }
  return faults;
}

/** The page runs no script of the store's. */
function harmless(t: Trial): Judge {
  return (outcome) => {
    const page = join(t.folder, "report.html");
    const runs = existsSync(page) && /<script>(alert|document|fetch|window)|<img[^>]*onerror/i.test(readFileSync(page, "utf8"));
    return [...faultsOf(outcome), ...(runs ? ["the page holds the store's script"] : [])];
  };
}

function copied(t: Trial, path: string): string {
  const folder = path.replaceAll("/", "-");
  cpSync(t.data(`attacks/${path}`), join(t.folder, folder), { recursive: true });
  return folder;
}

function otherDescription(t: Trial, name: string): string {
  const folder = copied(t, "models/teacher");
  cpSync(t.data(`attacks/models/${name}.json`), join(t.folder, folder, "model.json"), { force: true });
  return folder;
}

/** Each number of a teacher's description, changed by a little: never other pictures without a word. */
async function editedDescriptions(t: Trial): Promise<string[]> {
  const path = join(t.folder, "teacher/model.json");
  const text = readFileSync(path, "utf8");
  const faults: string[] = [];
  for (const [old, changed] of [
    [/"mean": \[\s*/, "$&1"],
    [/"sigmaData": 0\.5/, '"sigmaData": 0.6'],
    [/"role": "teacher"/, '"role": "student"'],
  ] as const) {
    writeFileSync(path, text.replace(old, changed));
    for (const fault of unrefused(await t.p(["sample", "--model", "teacher", "--count", "4", "--out", "a.png"]), /model\.json/)) {
      faults.push(`${changed}: ${fault}`);
    }
  }
  return faults;
}

async function terminalEscapes(t: Trial): Promise<string[]> {
  const outcomes = [
    await t.p(["ingest", t.data("attacks/files/terminal-escapes.zip"), "--out", "l"]),
    await t.p(["inspect", "l"]),
    await t.p(["inspect", "l", "--rows", "5"]),
    await t.p(["inspect", "l", "--why", "0"]),
    await t.p(["inspect", "l", "--sql", "select * from classes"]), // refused where DuckDB is not installed
  ];
  return [...outcomes.slice(0, -1).flatMap((outcome) => undone(outcome)), ...outcomes.flatMap((outcome) => faultsOf(outcome))];
}

const taesd = (t: Trial, name: string) => ["--set", "encoder.kind=taesd", "--set", `encoder.path=${t.data(`attacks/files/${name}`)}`];

/** A script of the data's attacks/scripts, which prints what it saw. */
async function script(t: Trial, name: string, right: RegExp): Promise<string[]> {
  const checkout = new URL("../..", import.meta.url).pathname;
  const { stdout, stderr } = spawnSync(t.data(`attacks/scripts/${name}`), [checkout], {
    encoding: "utf8",
    timeout: 600_000,
    cwd: t.folder,
  });
  const told = stdout + stderr;
  const stacks = told.includes("with a stack trace") ? ["a stack"] : [];
  return [...stacks, ...(right.test(told) ? [] : [`it said ${JSON.stringify(told.trim().slice(-300))}`])];
}

async function largeCheckpoint(t: Trial): Promise<string[]> {
  const length = 2100 * 2 ** 18;
  await writeCheckpoint({
    folder: t.folder,
    step: 1,
    sets: { network: { a: { shape: [length], data: new Float32Array(length).fill(1.5) } } },
  });
  const read = (await readLatestCheckpoint({ folder: t.folder }))?.sets.network?.a?.data;
  return read?.length === length && read.at(-1) === 1.5 ? [] : ["it is not read back"];
}

/** A reader that follows a growing store: the last shards take as long as the first ones. */
async function following(t: Trial): Promise<string[]> {
  const [shards, folder] = [4000, join(t.folder, "many")];
  const like = (await openLatentStore({ folder: join(t.folder, "latents") })).manifest;
  const { fingerprint: _, ...manifest } = { fingerprint: "", ...like, entries: shards, rowsPerShard: 1 };
  const made = await createLatentStore({ folder, manifest });
  const latent = new Float32Array(like.shape.reduce((product, side) => product * side, 1));
  for (let shard = 0; shard < shards; shard++) await writeShard(made, { shard, rows: [{ index: shard, name: "a", latent }] });
  const journal = join(folder, "journal");
  const lines = readdirSync(journal).map((name) => [join(journal, name), readFileSync(join(journal, name))] as const);
  for (const [path] of lines) rmSync(path);
  const follower = await openStore({ folder });
  const times: number[] = [];
  for (const [shard, [path, line]] of lines.entries()) {
    writeFileSync(path, line);
    const started = performance.now();
    await readShard(follower, shard);
    times.push(performance.now() - started);
  }
  const mean = (from: number) => times.slice(from, from + shards / 8).reduce((sum, time) => sum + time, 0) / (shards / 8);
  const [first, last] = [mean(0), mean((shards * 7) / 8)];
  return last < 3 * first ? [] : [`${first.toFixed(2)} ms a shard at first, ${last.toFixed(2)} ms at last`];
}
