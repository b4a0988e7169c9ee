/** What verify and inspect advise for a damaged store, done to the letter, gives back its bytes: whichever command made it. */
import { cpSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { commandLine } from "../fixtures/command-line.ts";
import { assert, suite } from "../harness.ts";
import { writeSquares } from "../train/fixture.ts";
import { contentsOf, freshFolder, writeRun } from "./fixture.ts";

const test = suite("remedies");
const home = freshFolder();
const at = (name: string): string => join(home, name);

async function done(...line: string[]): Promise<void> {
  const { code, said } = await commandLine([...line, "--quiet"]);
  assert.is(code, 0, `${line.join(" ")}: ${said}`);
}

/** By store, the command that makes it. Later ones read earlier ones. */
const makers: Record<string, () => string[]> = {
  latents: () => ["ingest", at("images"), "--out", at("latents"), "--preset", "smoke", "--set", "encoder.rowsPerShard=8", "--threads", "1"],
  tokens: () => ["tokenize", "--data", at("latents"), "--tokenizer", at("tokenizer"), "--out", at("tokens")],
  triples: () => [
    ...["simulate", "--teacher", teacher, "--out", at("triples"), "--count", "26", "--steps", "3", "--threads", "1"],
    ...["--set", "simulate.rowsPerShard=8", "--set", "simulate.batch=4"],
  ],
  halves: () => ["reprocess", at("triples"), "--to", at("halves"), "--set", "simulate.dtype=float16"],
  guided: () => ["reprocess", at("triples"), "--to", at("guided"), "--teacher", teacher, "--guidance", "3"],
  cut: () => ["reprocess", at("latents"), "--to", at("cut"), "--set", "encoder.rowsPerShard=6"],
  smaller: () => ["reprocess", at("latents"), at("images"), "--to", at("smaller"), "--set", "images.size=8"],
  merged: () => ["merge", at("part"), at("rest"), "--out", at("merged")],
};
let teacher: string;

test.before(
  async () => {
    teacher = await writeRun();
    await writeSquares(home);
    await done(...makers.latents!());
    await done("pretrain", "tokenizer", "--data", at("latents"), "--out", at("tokenizer"), "--preset", "smoke", "--threads", "1");
    for (const name of ["tokens", "triples", "halves", "guided", "cut", "smaller"]) await done(...makers[name]!());
    for (const [name, others] of [
      ["part", [0, 3]],
      ["rest", [1, 2]],
    ] as const) {
      cpSync(at("triples"), at(name), { recursive: true });
      for (const shard of others) rmSync(join(at(name), `shards/00000${shard}.parquet`));
    }
    await done(...makers.merged!());
  },
  { seconds: 300 },
);

const flip = (store: string, name: string): void => {
  const bytes = readFileSync(join(store, name));
  bytes[bytes.length >> 1]! ^= 16;
  writeFileSync(join(store, name), bytes);
};

/** Damages that may befall a store together. */
const damages: Record<string, (store: string) => void> = {
  "a shard with a flipped bit, one lost, a false line in the journal, a flipped bit in the summary": (store) => {
    flip(store, "shards/000001.parquet");
    rmSync(join(store, "shards/000002.parquet"));
    flip(store, "journal.jsonl");
    flip(store, "summary.json");
  },
  "a torn shard and no journal": (store) => {
    writeFileSync(join(store, "shards/000000.parquet"), "torn");
    rmSync(join(store, "journal.jsonl"));
  },
  "descriptions that are none": (store) => {
    for (const name of ["store.json", "settings.yaml", "codec.json"]) flip(store, name);
  },
};

/** The commands that a text advises, in its order, each once. */
function advised(text: string, store: string, maker: string[]): string[][] {
  const known: [RegExp, string[]][] = [
    [/repeat the command that made (?:the store|it) with --repair/i, [...maker, "--repair"]],
    [/run pipeline verify (?:\S+ )?(?:with )?--repair/i, ["verify", store, "--repair"]],
    [/repeat the command that made (?:the store|it)(?! with)/i, maker],
  ];
  const found = known.flatMap(([pattern, line]) => (pattern.test(text) ? [{ place: text.search(pattern), line }] : []));
  return found.sort((a, b) => a.place - b.place).map(({ line }) => line);
}

/**
 * Looks at a store and does what is advised, and what that advises in its turn, until the look finds nothing. Of a repair by verify what it
 * has mended is advised too, and done.
 */
async function mended(look: string[], { store, maker }: { store: string; maker: string[] }): Promise<void> {
  for (let tries = 0; ; tries++) {
    const { code, said } = await commandLine([...look, "--quiet"]);
    if (code === 0 && look.includes("--repair")) return;
    const lines = advised(said, store, maker).filter((line) => String(line) !== String(look));
    if (code === 0 && lines.length === 0) return;
    assert.ok(lines.length > 0 && tries < 4, `${look.join(" ")} said: ${said}`);
    for (const line of lines) {
      if (line[0] === "verify") await mended(line, { store, maker });
      else await done(...line);
    }
  }
}

test(
  "the stores that a run and a method's own phases make are mended by the command that made them",
  async () => {
    const job = [
      "run",
      at("images"),
      "--preset",
      "smoke",
      "--threads",
      "1",
      "--method",
      "instaflow",
      "--out",
      at("job"),
      "--set",
      "encoder.rowsPerShard=8",
    ];
    const options = ["--set", "train.distanceEvery=0", "--set", "train.checkpointEvery=100", "--set", "train.pictureEvery=100"];
    const student = [
      "train",
      "--store",
      at("job/triples"),
      "--teacher",
      at("job/teacher"),
      "--out",
      at("student"),
      "--method",
      "instaflow",
    ];
    const makers = { job: [...job, ...options], student: [...student, "--preset", "smoke", "--threads", "1", ...options] };
    for (const [name, maker] of Object.entries(makers)) {
      await done(...maker);
      const stores = { job: ["job/latents", "job/triples", "job/student/pairs"], student: ["student/pairs"] }[name]!.map(at);
      const before = stores.map((store) => contentsOf(store));
      for (const store of stores) damages[Object.keys(damages)[0]!]!(store);
      for (const store of stores) await mended(["verify", store], { store, maker });
      stores.forEach((store, i) => assert.equal(contentsOf(store), before[i], store));
    }
    const { code, said } = await commandLine([...makers.job, "--repair", "--set", "simulate.lead=2"]);
    assert.is(code, 2);
    assert.match(said, /^Cannot use --repair with simulate.lead/);
  },
  { seconds: 300 },
);

for (const name of Object.keys(makers)) {
  test(
    `a store made by ${name} is mended by what is advised`,
    async () => {
      const [maker, store] = [makers[name]!(), at(name)];
      const before = contentsOf(store);
      for (const [what, damage] of Object.entries(damages)) {
        for (const looks of ["verify", "inspect"]) {
          damage(store);
          await mended([looks, store], { store, maker });
          if (looks === "verify") assert.equal(contentsOf(store), before, `${name}, ${what}`);
        }
        assert.equal((await commandLine(["verify", store])).code, 0);
        assert.equal(contentsOf(store), before, `${name}, ${what}, as inspect advises`);
      }
    },
    { seconds: 200 },
  );
}

test.run();
