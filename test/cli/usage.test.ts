import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execute, type Outside } from "../../bin/cli.mts";
import type { Command, Entry } from "../../bin/command.mts";
import { commands } from "../../bin/commands.mts";
import { benchNames } from "../../pipelines/bench.ts";
import { Failure } from "../../schemas/failure.ts";
import { presetNames } from "../../recipes/recipe.ts";
import { encoderSettings, engineSettings, type Settings, simulateSettings } from "../../schemas/settings.ts";
import { benchPrograms } from "../../stages/bench/programs.ts";
import { exportFormats } from "../../stages/export/formats.ts";
import { assert, suite } from "../harness.ts";

const test = suite("command line");
let folder = "";
test.before(async () => {
  folder = await mkdtemp(join(tmpdir(), "onestep-usage-"));
});
test.after(() => rm(folder, { recursive: true }));

/** Runs a command line here and answers what it printed and its exit code. */
async function line(
  words: string | string[],
  table: readonly Entry[] = commands,
  { signal = new AbortController().signal, columns = 100 } = {},
) {
  let out = "";
  let err = "";
  const outside: Outside = {
    out: (text) => void (out += text),
    err: (text) => void (err += text),
    signal,
    terminal: false,
    colour: false,
    columns: () => columns,
  };
  const args = typeof words === "string" ? words.split(" ").filter(Boolean) : words;
  return { code: await execute(args, outside, table), out, err };
}

/** A text without its line breaks and columns. */
const unwrapped = (text: string): string => text.replaceAll(/\s+/g, " ");

/** The table's commands with pipelines that only keep what they are given. */
function recording(): { table: Entry[]; inputs: Parameters<Command["start"]>[0][] } {
  const inputs: Parameters<Command["start"]>[0][] = [];
  return {
    inputs,
    table: commands.map((command) => ("answer" in command ? command : { ...command, start: async (input) => void inputs.push(input) })),
  };
}

async function settingsFrom(words: string | string[]): Promise<Settings> {
  const { table, inputs } = recording();
  const { code, err } = await line(words, table);
  assert.is(code, 0, err);
  return inputs[0]!.settings;
}

const wrong: [words: string, message: RegExp][] = [
  ["simualte", /^Unknown command "simualte": did you mean "simulate"\?\n$/],
  ["xyzzy", /^Unknown command "xyzzy": the commands are help, ingest, pretrain, .*, completion\n$/],
  ["--json doctor", /^Missing command before "--json"/],
  ["help trian", /^Unknown command "trian": did you mean "train"\?/],
  ["ingest", /^Missing IMAGES of ingest: expected, for example, pipeline ingest /],
  ["ingest a.zip", /^Missing --out LATENTS of ingest/],
  ["ingest a.zip --out", /^Missing value after "--out" of ingest: expected --out LATENTS/],
  ["ingest a.zip --out --size 3", /^Missing value after "--out"/],
  ["ingest a.zip --out= --size 3", /^Missing value after "--out"/],
  ["ingest a.zip --out b --out c", /^Cannot use "--out" twice: it was "b" and "c"/],
  ["ingest a.zip --oot b", /^Unknown flag "--oot" of ingest: did you mean "--out"\?/],
  ["ingest a.zip -o b", /^Unknown flag "-o" of ingest/],
  ["ingest a.zip --constructor b", /^Unknown flag "--constructor" of ingest: see pipeline ingest --help/],
  ["pretrain teachr --data a --out b", /^Unknown WHAT "teachr" of pretrain: did you mean "teacher"\?/],
  ["pretrain 7 --data a --out b", /^Unknown WHAT "7" of pretrain: expected teacher, autoencoder, perceptual/],
  ["pretrain --data a --out b", /^Missing WHAT of pretrain/],
  ["simulate --teacher a --out b extra", /^Unexpected "extra" after simulate/],
  ["simulate --teacher a --out b --count many", /^Cannot set simulate.count to "many" \(--count\): expected a whole number above 0\n$/],
  ["simulate --teacher a --out b --count 1.5", /^Cannot set simulate.count to 1.5 \(--count\): expected a whole number above 0/],
  ["simulate --teacher a --out b --guidance -1", /^Cannot set simulate.guidance to -1 .*a number of at least 0/],
  [
    "simulate --teacher a --out b --solver hune",
    /^Cannot set simulate.solver to "hune" .*one of "auto", "published", "euler", "heun", "ddim", "dpm\+\+2m"/,
  ],
  ["simulate --teacher a --out b --json=yes", /^Cannot give "--json" the value "yes"/],
  ["doctor --set count=5", /^Unknown setting "count" in --set: did you mean "simulate.count" or "evaluate.count"\?/],
  ["doctor --set simulate.cuont=5", /^Unknown setting "simulate.cuont" in --set: did you mean "simulate.count"\?/],
  ["doctor --set simulate=5", /^Cannot set simulate to 5 \(--set\): expected a group of settings \(count, steps, /],
  ["doctor --set simulate.count", /^Cannot read --set "simulate.count": expected path.to.key=value/],
  ["doctor --set pretrain.autoencoder.downsample=3", /^Cannot set pretrain.autoencoder.downsample to 3 .*one of 2, 4, 8/],
  [
    'doctor --set train.diffusion2gan.adapter={"lora":{"rank":0,"alpha":1,"targets":["attention"]}}',
    /Cannot set train\.diffusion2gan\.adapter\.lora\.rank to 0 .*: expected a whole number above 0/,
  ],
  ["doctor --set train.diffusion2gan.adapter=some", /to "some" .*: expected "all", or a group of settings \(lora\), or a group .*\(only\)/],
  [
    "doctor --set train.diffusion2gan.discriminatorNoise=5",
    /to 5 .*: expected a list of 2: a number of at least 0, a number of at least 0/,
  ],
  ["completion tcsh", /^Unknown SHELL "tcsh" of completion: /],
  ["doctor --set network.multipliers=[1,x]", /^Cannot set network.multipliers.1 to "x" .*a whole number above 0/],
  ["doctor --set train.ema=1.5", /^Cannot set train.ema to 1.5 .*a number from 0 to 1/],
  ["doctor --set images.background=red", /^Cannot set images.background to "red" .*text such as "#ffffff"/],
  ["doctor --set __proto__.x=1", /^Unknown setting "__proto__/],
  ["doctor --preset dmo", /^Unknown preset "dmo": did you mean "demo"\?/],
  ["doctor --preset toString", /^Unknown preset "toString": the presets are/],
  ["doctor --config /nowhere/at/all.yaml", /^Cannot read settings from "\/nowhere\/at\/all.yaml": there is no such file/],
  ["sample --model a --out b --count 0", /^Cannot set --count to "0": expected a whole number above 0/],
];

test("answers every wrong request with exit code 2 and one line on stderr", async () => {
  const { table, inputs } = recording();
  for (const [words, message] of wrong) {
    const { code, out, err } = await line(words, table);
    assert.is(code, 2, `${words}: exit code ${code}, ${err}`);
    assert.match(err, message, `${words}: ${err}`);
    assert.is(err.trimEnd().split("\n").length, 1, `${words}: more than one line`);
    assert.is(out, "", words);
  }
  assert.is(inputs.length, 0);
});

test("prints help for every command, whose example the table itself accepts", async () => {
  const { table, inputs } = recording();
  for (const command of commands) {
    const help = await line(`${command.name} --help`);
    assert.is(help.code, 0);
    assert.ok(help.out.includes(command.example), command.name);
    for (const flag of Object.keys(command.flags)) assert.ok(help.out.includes(`--${flag}`), `${command.name} --${flag}`);
    assert.is((await line(`help ${command.name}`)).out, help.out);
    const [, ...words] = command.example.split(" ");
    assert.is((await line(words, table)).code, 0, command.example);
  }
  assert.equal(inputs.length, commands.filter((command) => "start" in command).length);
  const overview = await line("--help");
  assert.is(overview.code, 0);
  for (const command of commands) {
    assert.is(unwrapped(overview.out).includes(command.summary), !("internal" in command), command.name);
    assert.ok("internal" in command || overview.out.includes(`  ${command.name} `), command.name);
  }
  assert.equal(await line(""), { code: 2, out: "", err: overview.out });
  assert.match((await line("--version")).out, /^\d+\.\d+\.\d+\n$/);
});

test("help lists the names that the tables hold", async () => {
  const listed: [command: string, flag: string, names: readonly string[]][] = [
    ["simulate", "--solver NAME", simulateSettings.shape.solver.unwrap().options],
    ["ingest", "--encoder KIND", encoderSettings.shape.kind.unwrap().options],
    ["doctor", "--device NAME", engineSettings.shape.device.unwrap().options],
    ["doctor", "--preset NAME", presetNames()],
    ["export", "--format FORMAT", exportFormats],
    ["doctor", "--profile STEP", Object.keys(benchPrograms)],
    ["bench", "--only A,B", benchNames()],
  ];
  for (const [command, flag, names] of listed) {
    const help = unwrapped((await line(`${command} --help`)).out);
    const said = help.slice(help.lastIndexOf(` ${flag} `) + 1).split(" --")[0];
    assert.ok(said?.includes(`: ${names.join(", ")}`), `${command} ${flag}: ${said}`);
    assert.ok(names.length >= 3);
  }
});

test("help keeps within the terminal, wide or narrow, and says the same in both", async () => {
  for (const words of ["--help", ...commands.map(({ name }) => `${name} --help`)]) {
    const [narrow, wide] = [(await line(words, commands, { columns: 60 })).out, (await line(words, commands, { columns: 400 })).out];
    assert.is(unwrapped(narrow), unwrapped(wide), words);
    const [, example] = narrow.split("\nExample:\n");
    for (const row of narrow.split("\n")) if (!example?.includes(row)) assert.ok(row.length <= 60, `${words}: ${row}`);
    for (const row of wide.split("\n")) if (!example?.includes(row)) assert.ok(row.length <= 100, `${words}: ${row}`);
  }
});

test("lets a later source win: preset, recorded run, file, then flags", async () => {
  const teacher = join(folder, "teacher");
  await mkdir(teacher);
  await writeFile(join(teacher, "settings.yaml"), "network: {width: 77, heads: 7, depth: 7}\nsimulate: {count: 77}\n");
  const config = join(folder, "mine.yaml");
  await writeFile(config, "network:\n  heads: 8\n  depth: 8\nsimulate: {steps: 9}\n");
  const base = `simulate --teacher ${teacher} --out x --preset smoke`;
  const settings = await settingsFrom(`${base} --config ${config} --set network.depth=9 --set simulate.steps=10 --seed 5`);
  assert.equal([settings.network.width, settings.network.heads, settings.network.depth, settings.seed], [77, 8, 9, 5]);
  assert.is(settings.simulate.steps, 10);
  assert.is(settings.simulate.count, 32, "a run decides what its model is, not how much to simulate");
  assert.is(settings.network.patch, 4, "the preset's");
  assert.is(settings.simulate.noise, "derived", "the default");
});

test("types values by the schema", async () => {
  const settings = await settingsFrom([
    ..."doctor --set network.multipliers=[1,2,4] --set images.background=#00ff00 --set encoder.path=007".split(" "),
    "--set=train.learningRate = 3e-4",
  ]);
  assert.equal(settings.network.multipliers, [1, 2, 4]);
  assert.is(settings.images.background, "#00ff00");
  assert.is(settings.encoder.path, "007");
  assert.is(settings.train.learningRate, 3e-4);
});

test("names the file and line of broken YAML, and takes an empty file", async () => {
  const config = join(folder, "broken.yaml");
  await writeFile(config, "simulate: {count: 5\ntrain: [");
  const { code, err } = await line(`doctor --config ${config}`);
  assert.is(code, 2);
  assert.match(err, /^Cannot read settings from ".*broken.yaml": .*line 2/);
  await writeFile(config, "# nothing yet\n");
  assert.is((await settingsFrom(`doctor --config ${config}`)).simulate.count, 10_000);
  await writeFile(config, "simulate: {cuont: 5}\n");
  assert.match((await line(`doctor --config ${config}`)).err, /^Unknown setting "simulate.cuont" in .*broken.yaml: did you mean/);
  await writeFile(config, "- 1\n");
  assert.match((await line(`doctor --config ${config}`)).err, /^Cannot set the settings to \[ 1 \] .*expected a group of settings/);
});

test("uses the demo preset for a bare run only", async () => {
  assert.is((await settingsFrom("run")).encoder.kind, "autoencoder");
  assert.is((await settingsFrom("run a.zip --out b")).encoder.kind, "pixel");
  assert.is((await settingsFrom("run --preset smoke")).images.size, 16);
});

/** A table with one command that does what it is told. */
const doing = (start: Command["start"]): Command[] => [{ name: "go", summary: "", positionals: [], flags: {}, example: "", start }];

test("prints a failure's sentence alone, and the stack of what nobody foresaw", async () => {
  const failed = await line(
    "go",
    doing(() => Promise.reject(new Failure("Cannot go: the road is closed"))),
  );
  assert.equal(failed, { code: 1, out: "", err: "Cannot go: the road is closed\n" });
  const broken = await line(
    "go",
    doing(() => Promise.reject(new TypeError("x is not a function"))),
  );
  assert.is(broken.code, 1);
  assert.match(broken.err, /^TypeError: x is not a function\n +at .*\n(.*\n)*.*please report it/);
  const thrown = await line(
    "go",
    doing(() => Promise.reject(undefined)),
  );
  assert.is(thrown.code, 1);
  assert.match(thrown.err, /^undefined\n/);
});

test("answers 130 and how to resume after an interrupt, however the pipeline ended", async () => {
  const endings: [Command["start"], RegExp][] = [
    [async () => {}, /^Stopped. The same command resumes: pipeline go --set 'images.background=#000000'\n$/],
    [({ context }) => Promise.reject(context.signal.reason), /^Stopped/],
    [() => Promise.reject(new Failure("Cannot write: the disk is full")), /^Cannot write: the disk is full\nStopped/],
  ];
  for (const [start, message] of endings) {
    const controller = new AbortController();
    const table = doing((input) => {
      controller.abort();
      return start(input);
    });
    const { code, err } = await line(["go", "--set", "images.background=#000000"], table, { signal: controller.signal });
    assert.is(code, 130);
    assert.match(err, message);
  }
});

test.run();
